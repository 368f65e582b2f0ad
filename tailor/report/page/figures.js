// The charts by name. A drawer gets {documents, selection, width} and returns nodes, or null where the document has
// nothing to draw. Measured is drawn solid, modelled dashed.
import {drawFront, drawMappings, drawOutcomes} from "./fronts.js";
import {drawDevices, drawDifference, drawFree, drawGantt, drawSpeed, drawWidths} from "./compare.js";
import {drawBase, drawRecoverable, drawRoofline, drawSpent} from "./layers.js";
import {drawStairs, drawWaves} from "./stairs.js";
import {drawTurnFront, drawTurns} from "./turns.js";
import {drawConvergence, drawInterference, drawShares} from "./tuning.js";

export const drawers = {
  recoverable: drawRecoverable,
  spent: drawSpent,
  base: drawBase,
  stairs: drawStairs,
  waves: drawWaves,
  roofline: drawRoofline,
  front: drawFront,
  outcomes: drawOutcomes,
  mappings: drawMappings,
  turns: drawTurns,
  turnfront: drawTurnFront,
  widths: drawWidths,
  free: drawFree,
  devices: drawDevices,
  gantt: drawGantt,
  speed: drawSpeed,
  difference: drawDifference,
  convergence: drawConvergence,
  shares: drawShares,
  interference: drawInterference,
};
