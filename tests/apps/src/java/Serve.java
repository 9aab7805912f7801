// SPDX-License-Identifier: BSD-3-Clause
// Answers each request with the caller's address.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;

public class Serve {
	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(new InetSocketAddress(8080), 64);
		server.createContext("/", x -> {
			byte[] text = ("seen " + x.getRemoteAddress().getAddress()
				.getHostAddress() + "\n").getBytes();
			x.sendResponseHeaders(200, text.length);
			x.getResponseBody().write(text);
			x.close();
		});
		server.start();
	}
}
