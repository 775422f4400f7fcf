// The evidence of a model on its own coarse grid: drawn as colours, and added up.

/** How much of the image the strongest evidence covers at full opacity. */
const COVER = 0.85;
const CELL = 24; // pixels that a cell is drawn with before it is stretched smoothly

// Nuñez, Anderton and Renslow 2018 (PLOS ONE 13:e0199239): the same to normal and red-green blind eyes, ever lighter.
const CIVIDIS = [[0, 32, 77], [0, 51, 111], [57, 72, 107], [87, 92, 109], [112, 113, 115], [138, 135, 121], [166, 157, 117], [196, 181, 108], [228, 207, 91], [255, 234, 70]];
/** As on every other page of lungsight: told apart with any colour vision. */
const FOR = [228, 52, 44];
const AGAINST = [47, 128, 237];

export const OUTLINE = "rgb(240, 228, 66)";

/** Colour maps: for a strength 0…1 for (or against) the target, red, green, blue and opacity 0…1. */
export const COLOURS = {
  diverging: { name: "red for, blue against", both: true, of: (s, against) => [...(against ? AGAINST : FOR), s] },
  cividis: { name: "cividis (blue to yellow)", both: false, of: (s) => [...sequential(CIVIDIS, s), Math.min(1, 0.35 + s)] },
};

function sequential(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const below = Math.min(Math.floor(at), stops.length - 2);
  return stops[below].map((low, n) => low + (stops[below + 1][n] - low) * (at - below));
}

/** The value between the middles of the cells, as the server draws maps: bilinear, level beyond the outermost middles. */
function between(values, x, y) {
  const [rows, columns] = [values.length, values[0].length];
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  const [across, down] = [clamp(x * columns - 0.5, columns - 1), clamp(y * rows - 0.5, rows - 1)];
  const [left, top] = [Math.floor(across), Math.floor(down)];
  const [right, bottom] = [Math.min(left + 1, columns - 1), Math.min(top + 1, rows - 1)];
  const upper = values[top][left] + (values[top][right] - values[top][left]) * (across - left);
  const lower = values[bottom][left] + (values[bottom][right] - values[bottom][left]) * (across - left);
  return upper + (lower - upper) * (down - top);
}

/** A canvas of the grid's box in colours; clear where the evidence is below the threshold (a share of full strength). */
export function heatOf(evidence, { colours = "diverging", threshold = 0, against = false } = {}) {
  const { values } = evidence;
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: values[0].length * CELL, height: values.length * CELL });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const map = COLOURS[colours];
  const full = Math.max(evidence.full, 1e-6);
  for (let row = 0, at = 0; row < canvas.height; row += 1) {
    for (let column = 0; column < canvas.width; column += 1, at += 4) {
      const value = between(values, (column + 0.5) / canvas.width, (row + 0.5) / canvas.height) / full;
      const strength = Math.min(Math.abs(value), 1);
      if (strength < threshold || strength === 0 || (value < 0 && !(against && map.both))) continue;
      const [red, green, blue, opacity] = map.of(strength, value < 0);
      image.data.set([red, green, blue, 255 * COVER * opacity], at);
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** The grid's cells with the share of each: all shares and the bias add up to the margin. */
export function sharesOf(evidence) {
  const { values, box } = evidence;
  const count = values.length * values[0].length;
  const [width, height] = [(box[2] - box[0]) / values[0].length, (box[3] - box[1]) / values.length];
  return values.flatMap((line, row) => line.map((value, column) => ({
    share: value / count, x: box[0] + column * width, y: box[1] + row * height, width, height,
  })));
}

/** All shares, the bias and their sum. */
export function sumOf(evidence) {
  const regions = sharesOf(evidence).reduce((sum, cell) => sum + cell.share, 0);
  return { regions, bias: evidence.bias, margin: regions + evidence.bias };
}

/** The cell under a place of the image (fractions); null beside the grid. */
export const cellAt = (evidence, x, y) => sharesOf(evidence).find((cell) => (
  x >= cell.x && x < cell.x + cell.width && y >= cell.y && y < cell.y + cell.height)) || null;

/** The zone of a cell, by thirds of the box around the lungs (or of the image). */
export function zoneOf(cell, box = [0, 0, 1, 1]) {
  const x = (cell.x + cell.width / 2 - box[0]) / (box[2] - box[0]);
  const y = (cell.y + cell.height / 2 - box[1]) / (box[3] - box[1]);
  if (x < 0 || x > 1 || y < 0 || y > 1) return "beside the lungs";
  if (x > 0.42 && x < 0.58) return "middle of the chest";
  const zone = y < 1 / 3 ? "upper" : y < 2 / 3 ? "middle" : "lower";
  return `${zone} zone, ${x < 0.5 ? "left" : "right"} side of the image`;
}

/** The zones, the largest share first; their shares and the bias add up to the margin. */
export function zonesOf(evidence, box) {
  const zones = new Map();
  for (const cell of sharesOf(evidence)) {
    const name = zoneOf(cell, box);
    const zone = zones.get(name) || { name, share: 0, cells: [] };
    zone.share += cell.share;
    zone.cells.push(cell);
    zones.set(name, zone);
  }
  return [...zones.values()].sort((one, other) => other.share - one.share);
}

/** The box around cells, as a cell. */
export function around(cells) {
  const [left, top] = [Math.min(...cells.map((cell) => cell.x)), Math.min(...cells.map((cell) => cell.y))];
  const right = Math.max(...cells.map((cell) => cell.x + cell.width));
  return { x: left, y: top, width: right - left, height: Math.max(...cells.map((cell) => cell.y + cell.height)) - top };
}
