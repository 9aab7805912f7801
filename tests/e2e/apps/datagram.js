// "serve PORT": answer with the sender's address; "IP PORT": ask there
const dgram = require('dgram');
const s = dgram.createSocket('udp6');
const [first, port] = process.argv.slice(2);

if (first === 'serve') {
	s.on('message', (m, from) => s.send(from.address, from.port,
					     from.address));
	s.bind(Number(port), () => console.log('bound'));
} else {
	const ip = first.includes(':') ? first : '::ffff:' + first;
	s.on('message', (m, from) => {
		console.log(JSON.stringify({
			from: from.address, text: m.toString(),
			own: s.address(), peer: s.remoteAddress()}));
		s.close();
	});
	s.connect(Number(port), ip, () => s.send('hello'));
	setTimeout(() => process.exit(3), 20000).unref();
}
