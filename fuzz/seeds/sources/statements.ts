const a = b as any
(c)
type B = string
[d]
if (a) b as T
else c
let f = (a: {
 b: 1
}): a is string => a
const e = f<string>
const g = tag<string>`x${ a as B }`
export type { A } from 'b'
