enum Colour { Red = 1, Green = Red << 1, Blue = 'blue'.length }
namespace N { export const a = Colour.Red; }
import fs = require('fs');
export = N;
