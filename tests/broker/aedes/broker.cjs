// An aedes broker on 127.0.0.1; the port is the argument. Says "listening" when it is up.
const { createServer } = require('net')
const broker = require('aedes')()

createServer(socket => {
  socket.setNoDelay(true)
  broker.handle(socket)
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'))
