let x = ;
let y; let y; return
export const z = 1, z = 2; with (a) { delete b }
