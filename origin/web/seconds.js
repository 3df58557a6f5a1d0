// The page's clock, which never goes back.

export function seconds() {
  return performance.now() / 1000;
}
