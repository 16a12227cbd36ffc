// An aedes broker on 127.0.0.1; the port is the argument. Says "listening" when it is up.
import { createServer } from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
createServer(socket => {
  socket.setNoDelay(true)
  broker.handle(socket)
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'))
