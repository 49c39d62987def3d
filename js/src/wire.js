// One message as Python encodes it (pairsim/notebook/views/wire.py): length, JSON header, arrays on multiples of eight.

const KINDS = {
  f8: Float64Array, f4: Float32Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array, i1: Int8Array,
};

/** A DataView or ArrayBuffer as { header, arrays: name -> typed array }, copied: Jupyter's buffers are not aligned. */
export function decode(message) {
  const bytes = message.buffer ? message.buffer.slice(message.byteOffset, message.byteOffset + message.byteLength) : message;
  const length = new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const arrays = {};
  let at = padded(4 + length);
  for (const [name, code, count] of header.arrays) {
    arrays[name] = new KINDS[code](bytes, at, count);
    at = padded(at + arrays[name].byteLength);
  }
  return { header, arrays };
}

const padded = (n) => Math.ceil(n / 8) * 8;
