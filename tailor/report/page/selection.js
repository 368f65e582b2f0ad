// One number: the index of the selected layer, or null. Whoever shows layers listens.
export function makeSelection() {
  let chosen = null;
  const listeners = [];
  return {
    get: () => chosen,
    set(layer) {
      if (layer === chosen) return;
      chosen = layer;
      for (const listener of listeners) listener(chosen);
    },
    listen: (listener) => listeners.push(listener),
  };
}
