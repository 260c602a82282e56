abstract class A<T> extends Map<string, T> implements B, C<T> {
  private static readonly x: number = 1;
  declare y: string; z?: T; [key: string]: any;
  constructor(private a: string, public b?: number) { super(); }
  abstract f(): void;
  get g(): T | undefined { return this.get(this.a)!; }
  h(a?: 1): void
  h(a) {}
}
export { A, type B };
