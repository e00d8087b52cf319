// What a careful Node.js team would write: server.js, and the gateway's checks and its shape of a job.
// Run by `node mapped.js PORT` with AIRBYTE_URL and CLIENTS_FILE in the environment: clients by the SHA-256 of a key,
// each with its connections, ours -> Airbyte's.
'use strict'

const { createHash } = require('node:crypto')
const { readFileSync } = require('node:fs')
const Ajv = require('ajv')
const Fastify = require('fastify')
const rateLimit = require('@fastify/rate-limit')
const { Pool } = require('undici')

const clients = new Map(Object.entries(JSON.parse(readFileSync(process.env.CLIENTS_FILE, 'utf8'))))
const airbyte = new URL(process.env.AIRBYTE_URL)
const pool = new Pool(airbyte.origin, { bodyTimeout: 15_000, headersTimeout: 15_000 })
const app = Fastify()

const WORD = '^[a-z][a-z_]{0,39}$'
const count = { type: 'integer', nullable: true }
const text = { type: 'string', nullable: true }
const isPage = new Ajv().compile({
  type: 'object',
  required: ['data'],
  properties: {
    data: {
      type: 'array',
      items: {
        type: 'object',
        required: ['jobId', 'connectionId', 'status', 'jobType'],
        properties: {
          jobId: { type: 'integer', minimum: 0 },
          connectionId: { type: 'string' },
          status: { type: 'string', pattern: WORD },
          jobType: { type: 'string', pattern: WORD },
          startTime: { type: 'string', nullable: true },
          bytesSynced: count,
          rowsSynced: count,
          duration: { type: 'string', nullable: true, pattern: '^PT(?=[0-9])(?:[0-9]+H)?(?:[0-9]+M)?(?:[0-9.]+S)?$' }
        }
      }
    }
  }
})
const schema = {
  querystring: {
    type: 'object',
    properties: {
      limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
      offset: { type: 'integer', minimum: 0, default: 0 },
      status: { enum: ['pending', 'queued', 'running', 'incomplete', 'failed', 'succeeded', 'cancelled'] }
    }
  },
  response: {
    200: {
      type: 'object',
      properties: {
        data: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              jobId: { type: 'integer' },
              connectionId: { type: 'string' },
              status: { type: 'string' },
              jobType: { type: 'string' },
              startTime: text,
              bytesSynced: count,
              rowsSynced: count,
              duration: text
            }
          }
        }
      }
    }
  }
}

function failure (statusCode, message) {
  return Object.assign(new Error(message), { statusCode })
}

async function authenticate (request) {
  const [scheme, key] = (request.headers.authorization ?? '').split(' ')
  request.client = scheme.toLowerCase() === 'bearer' && key
    ? clients.get(createHash('sha256').update(key).digest('hex'))
    : undefined
  if (!request.client) throw failure(401, 'Unauthorized — invalid or missing API key')
}

async function readJobs (connectionId, { limit, offset, status }) {
  const { statusCode, body } = await pool.request({
    method: 'GET',
    path: `${airbyte.pathname}/jobs`,
    query: { connectionId, orderBy: 'createdAt|DESC', limit, offset, jobType: 'sync', ...(status && { status }) },
    headers: { authorization: 'Bearer token' }
  })
  const page = await body.json()
  if (statusCode !== 200 || !isPage(page)) throw failure(502, 'Airbyte gave no usable answer')
  if (page.data.some(job => job.connectionId !== connectionId)) throw failure(502, 'Airbyte gave no usable answer')
  return page.data.sort((one, other) => other.jobId - one.jobId)
}

function view (job) {
  return {
    jobId: job.jobId,
    connectionId: job.connectionId,
    status: job.status,
    jobType: job.jobType,
    startTime: job.startTime ? new Date(job.startTime).toISOString() : null,
    bytesSynced: job.bytesSynced ?? null,
    rowsSynced: job.rowsSynced ?? null,
    duration: job.duration ?? null
  }
}

async function listJobs (request, reply) {
  const connectionId = request.client.connections[request.params.id]
  if (!connectionId) throw failure(404, 'Connection not found')
  const { limit, offset, status } = request.query
  const jobs = await readJobs(connectionId, { limit: limit + 1, offset, status })
  if (jobs.length > limit) reply.header('link', `<?limit=${limit}&offset=${offset + limit}>; rel="next"`)
  reply.header('cache-control', 'private, no-store').header('x-request-id', request.id)
  return { data: jobs.slice(0, limit).map(view) }
}

async function start () {
  app.decorateRequest('client', null)
  app.addHook('onRequest', authenticate)
  await app.register(rateLimit, {
    max: 1_000_000_000,
    timeWindow: '1 minute',
    keyGenerator: request => request.client.keyId
  })
  app.setErrorHandler((error, _request, reply) => reply.code(error.statusCode ?? 500).send({ error: error.message }))
  app.get('/connections/:id/jobs', { schema }, listJobs)
  await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) })
}

start()
