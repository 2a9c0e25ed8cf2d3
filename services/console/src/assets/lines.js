// Answers that come as lines of JSON.

/** Each line of a fetch response, as soon as it has come. */
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n")) >= 0) {
      yield JSON.parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
    }
  }
}

/** The new whole lines of a text that grows. Call it each time it has grown. */
export function growing() {
  let read = 0;
  return (text) => {
    const end = text.lastIndexOf("\n");
    if (end < read) return [];
    const fresh = text.slice(read, end);
    read = end + 1;
    return fresh.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  };
}
