// The Airbyte proxy a Node.js team would write: Fastify, @fastify/rate-limit and one undici pool.
// Airbyte's answer is handed on unread. Run by `node server.js PORT` with AIRBYTE_URL in the environment.
'use strict'

const Fastify = require('fastify')
const rateLimit = require('@fastify/rate-limit')
const { Pool } = require('undici')

const airbyte = new URL(process.env.AIRBYTE_URL)
const pool = new Pool(airbyte.origin)
const app = Fastify()

async function start () {
  await app.register(rateLimit, {
    max: 1_000_000_000,
    timeWindow: '1 minute',
    keyGenerator: request => request.headers.authorization
  })
  app.get('/connections/:id/jobs', async (request, reply) => {
    const { statusCode, headers, body } = await pool.request({
      method: 'GET',
      path: `${airbyte.pathname}/jobs`,
      query: { connectionId: request.params.id, orderBy: 'createdAt|DESC', limit: 20, offset: 0, jobType: 'sync' },
      headers: { authorization: 'Bearer token' }
    })
    return reply.code(statusCode).type(headers['content-type']).send(await body.text())
  })
  await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]) })
}

start()
