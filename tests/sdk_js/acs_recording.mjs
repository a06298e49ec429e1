// Records, downloads and deletes with the official client. Standard input's first line is one JSON object,
// {endpoint, key | token, insecure, proxy, options}; each further line is an order, {do, ...}, that is answered with one line:
// {"done": ...} or {"error": {name, status, code, message}}.
import { Buffer } from "node:buffer";
import { createInterface } from "node:readline";
import { CallAutomationClient, parseCallAutomationEvent } from "@azure/communication-call-automation";

const LOCATORS = {
  serverCallId: "serverCallLocator",
  groupCallId: "groupCallLocator",
  roomId: "roomCallLocator",
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const recording = connect(JSON.parse((await lines.next()).value));
const orders = {
  start: ({ options }) => recording.start(startOptions(options)),
  state: ({ recordingId }) => recording.getState(recordingId),
  pause: ({ recordingId }) => recording.pause(recordingId),
  resume: ({ recordingId }) => recording.resume(recordingId),
  stop: ({ recordingId }) => recording.stop(recordingId),
  download: async ({ url, offset, length }) => {
    const parts = [];
    for await (const part of await recording.downloadStreaming(url, { offset, length })) {
      parts.push(part);
    }
    return Buffer.concat(parts).toString("base64");
  },
  save: ({ url, path }) => recording.downloadToPath(url, path),
  delete: ({ url }) => recording.delete(url),
  parse: ({ text }) => parseCallAutomationEvent(text),
};
for await (const line of lines) {
  const order = JSON.parse(line);
  let answer;
  try {
    answer = { done: (await orders[order.do](order)) ?? null };
  } catch (error) {
    const { name, statusCode, status, code, message } = error;
    answer = { error: { name, status: statusCode ?? status, code, message } };
  }
  console.log(JSON.stringify(answer));
}

function connect({ endpoint, key, token, insecure, proxy, options }) {
  const credential = token
    ? { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
    : { key };
  const all = {
    allowInsecureConnection: insecure,
    retryOptions: { maxRetries: 0 },
    proxyOptions: proxy && { host: "http://127.0.0.1", port: proxy },
    ...options,
  };
  const client = endpoint.startsWith("endpoint=")
    ? new CallAutomationClient(endpoint, all)
    : new CallAutomationClient(endpoint, credential, all);
  return client.getCallRecording();
}

function startOptions(options) {
  const [by] = Object.keys(LOCATORS).filter((name) => options[name]);
  return {
    callLocator: by && { kind: LOCATORS[by], id: options[by] },
    callConnectionId: options.callConnectionId,
    recordingContent: options.content,
    recordingChannel: options.channel,
    recordingFormat: options.format,
    pauseOnStart: options.pauseOnStart,
    recordingStateCallbackEndpointUrl: options.callbackUrl,
    channelAffinity: options.affinity?.map(({ channel, participant }) => ({
      channel,
      targetParticipant: { communicationUserId: participant },
    })),
    recordingStorage: options.container && {
      recordingStorageKind: "azureBlobStorage",
      recordingDestinationContainerUrl: options.container,
    },
  };
}
