// The charts by name. A drawer gets {documents, selection, width} and returns nodes, or null where the document has
// nothing to draw. Measured is drawn solid, modelled dashed.
import {drawFront, drawMappings} from "./fronts.js";
import {drawDifference, drawGantt, drawSpeed, drawWidths} from "./compare.js";
import {drawRecoverable, drawRoofline, drawSpent} from "./layers.js";
import {drawStairs, drawWaves} from "./stairs.js";
import {drawConvergence, drawShares} from "./tuning.js";

export const drawers = {
  recoverable: drawRecoverable,
  spent: drawSpent,
  stairs: drawStairs,
  waves: drawWaves,
  roofline: drawRoofline,
  front: drawFront,
  mappings: drawMappings,
  widths: drawWidths,
  gantt: drawGantt,
  speed: drawSpeed,
  difference: drawDifference,
  convergence: drawConvergence,
  shares: drawShares,
};
