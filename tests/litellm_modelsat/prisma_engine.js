#!/usr/bin/env node
// Prisma's own query engine (WebAssembly, of @prisma/client), behind the HTTP interface of the engine's executable.
//
// The Python client of Prisma starts an executable and talks GraphQL to it. That executable comes from a download host
// only; the same engine as WebAssembly comes with the npm package, and is asked in JSON. So this translates documents and
// results, one to one. The environment says what the executable is told: PRISMA_DML_PATH, DATABASE_URL.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { parse, valueFromASTUntyped } = require("graphql");
const { Pool } = require("pg");
const { PrismaPg } = require("@prisma/adapter-pg");
const { bindAdapter } = require("@prisma/driver-adapter-utils");

const RUNTIME = path.dirname(require.resolve("@prisma/client/runtime/query_engine_bg.postgresql.js"));
const ACTIONS =
  /^(findUnique|findFirst|findMany|(?:create|update|delete)(?:One|Many)|upsertOne|aggregate|groupBy|queryRaw|executeRaw)(OrThrow)?(.*)$/;

function engineOf(datamodel, pool) {
  const bindings = require("@prisma/client/runtime/query_engine_bg.postgresql.js");
  const code = fs.readFileSync(path.join(RUNTIME, "query_engine_bg.postgresql.wasm"));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { "./query_engine_bg.js": bindings });
  bindings.__wbg_set_wasm(instance.exports);
  const options = { datamodel, logLevel: "error", logQueries: false, engineProtocol: "json", enableTracing: false };
  return new bindings.QueryEngine(options, () => {}, bindAdapter(new PrismaPg(pool)));
}

function selectionOf(set) {
  const found = {};
  for (const field of set.selections) {
    found[field.name.value] = field.selectionSet ? queryOf(field) : true;
  }
  return found;
}

function queryOf(field) {
  const given = field.arguments.map((argument) => [argument.name.value, valueFromASTUntyped(argument.value)]);
  return { arguments: Object.fromEntries(given), selection: field.selectionSet ? selectionOf(field.selectionSet) : {} };
}

// The type of every field, by model.
function typesOf(datamodel) {
  const found = {};
  for (const [, model, body] of datamodel.matchAll(/^model (\w+) \{\n([\s\S]*?)^\}/gm)) {
    found[model] = Object.fromEntries([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, name, type]) => [name, type]));
  }
  return found;
}

// In a document JSON is a string like any other; in a JSON request it has to say what it is.
function withJson(value, model, types) {
  if (Array.isArray(value)) return value.map((inner) => withJson(inner, model, types));
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, inner]) => {
    const type = types[model]?.[key];
    if (type === "Json") return [key, asJson(inner)];
    return [key, withJson(inner, type in types ? type : model, types)];
  });
  return Object.fromEntries(entries);
}

function asJson(value) {
  if (typeof value === "string") return { $type: "Json", value };
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  const wrapped = ["set", "equals", "not"].filter((key) => key in value).map((key) => [key, asJson(value[key])]);
  return { ...value, ...Object.fromEntries(wrapped) };
}

function requestOf({ query }, types) {
  const field = parse(query).definitions[0].selectionSet.selections[0];
  const [, action, orThrow, modelName] = ACTIONS.exec(field.name.value);
  const asked = queryOf(field);
  asked.arguments = withJson(asked.arguments, modelName, types);
  return {
    request: { ...(modelName ? { modelName } : {}), action: action + (orThrow ?? ""), query: asked },
    alias: (field.alias ?? field.name).value,
  };
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  if ("$type" in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

function answerOf(result, alias) {
  if (!result.data) return result;
  return { ...result, data: { [alias]: plain(Object.values(result.data)[0]) } };
}

async function answer(engine, types, method, url, body, transaction) {
  if (method === "GET" && url === "/status") return { status: "ok" };
  if (method === "GET") return { counters: [], gauges: [], histograms: [] };
  if (url === "/transaction/start") return JSON.parse(await engine.startTransaction(JSON.stringify(body), "{}"));
  const [, id, end] = /^\/transaction\/([^/]+)\/(commit|rollback)$/.exec(url) ?? [];
  if (end) return JSON.parse((await engine[`${end}Transaction`](id, "{}")) || "{}");
  const ask = async (request) => JSON.parse(await engine.query(JSON.stringify(request), "{}", transaction));
  if (!body.batch) {
    const { request, alias } = requestOf(body, types);
    return answerOf(await ask(request), alias);
  }
  const parts = body.batch.map((part) => requestOf(part, types));
  const batch = parts.map((part) => part.request);
  const result = await ask({ batch, ...(body.transaction ? { transaction: {} } : {}) });
  if (!result.batchResult) return result;
  return { batchResult: result.batchResult.map((part, index) => answerOf(part, parts[index].alias)) };
}

async function main() {
  if (process.argv.includes("--version")) {
    console.log(`query-engine ${require("@prisma/engines-version").enginesVersion.split(".").pop()}`);
    return;
  }
  const port = Number(process.argv[process.argv.indexOf("-p") + 1]);
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
  const datamodel = fs.readFileSync(process.env.PRISMA_DML_PATH, "utf8");
  const [engine, types] = [engineOf(datamodel, pool), typesOf(datamodel)];
  await engine.connect("{}");
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    let status = 200;
    let result;
    try {
      const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString("utf8") || "{}") : {};
      result = await answer(engine, types, request.method, request.url, body, request.headers["x-transaction-id"]);
    } catch (error) {
      console.error(`prisma_engine: ${request.method} ${request.url}: ${error.stack}`);
      status = 500;
      result = { errors: [{ error: String(error), user_facing_error: { message: String(error), error_code: "P2010" } }] };
    }
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(result));
  });
  server.listen(port, "localhost");
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(0));
}

main().catch((error) => {
  console.error(`prisma_engine: ${error.stack}`);
  process.exit(1);
});
