// An engine behind the page: the model runs in PyTorch, on the computer that serves the page.
"use strict";

async function asked(path, question) {
  const options = question && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the program that serves this page has ended; start it again");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const engine = {
  info: {},
  complete: async (question) => (await asked("api/complete", question)).drawings,
  interpolate: async (question) => (await asked("api/interpolate", question)).drawings,
};
engine.ready = asked("api/model").then((info) => Object.assign(engine.info, info));
