// SPDX-License-Identifier: BSD-3-Clause
// A page by a selector: the socket is registered before it connects.
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

public class Nio {
	public static void main(String[] args) throws Exception {
		Selector selector = Selector.open();
		SocketChannel channel = SocketChannel.open();
		channel.configureBlocking(false);
		SelectionKey key = channel.register(selector, SelectionKey.OP_CONNECT);
		selector.selectNow();
		channel.connect(new InetSocketAddress(args[0], 8080));
		while (!channel.finishConnect())
			selector.select(1000);
		channel.write(ByteBuffer.wrap("GET / HTTP/1.0\r\n\r\n".getBytes()));
		key.interestOps(SelectionKey.OP_READ);
		ByteBuffer in = ByteBuffer.allocate(65536);
		while (channel.read(in) >= 0)
			selector.select(1000);
		String all = new String(in.array(), 0, in.position());
		InetSocketAddress far = (InetSocketAddress) channel.getRemoteAddress();
		System.out.println(all.substring(all.indexOf("\r\n\r\n") + 4).trim()
			+ " " + far.getAddress().getHostAddress() + ":" + far.getPort());
	}
}
