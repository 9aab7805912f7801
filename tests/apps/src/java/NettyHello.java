// SPDX-License-Identifier: BSD-3-Clause
// A Netty server that answers each request with the caller's address; by its
// own epoll library where that is installed, else by NIO.
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.ServerChannel;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import java.net.InetSocketAddress;

public class NettyHello {
	static class Seen extends SimpleChannelInboundHandler<FullHttpRequest> {
		@Override
		protected void channelRead0(ChannelHandlerContext ctx,
				FullHttpRequest request) {
			InetSocketAddress peer =
				(InetSocketAddress) ctx.channel().remoteAddress();
			FullHttpResponse r = new DefaultFullHttpResponse(
				HttpVersion.HTTP_1_1, HttpResponseStatus.OK,
				Unpooled.copiedBuffer(("seen " + peer.getAddress()
					.getHostAddress() + "\n").getBytes()));
			HttpUtil.setContentLength(r, r.content().readableBytes());
			HttpUtil.setKeepAlive(r, HttpUtil.isKeepAlive(request));
			ctx.writeAndFlush(r);
		}
	}

	public static void main(String[] args) throws Exception {
		boolean epoll = Epoll.isAvailable();
		EventLoopGroup group = epoll ? new EpollEventLoopGroup(2)
			: new NioEventLoopGroup(2);
		Class<? extends ServerChannel> kind = epoll
			? EpollServerSocketChannel.class : NioServerSocketChannel.class;
		new ServerBootstrap().group(group).channel(kind)
			.childHandler(new ChannelInitializer<SocketChannel>() {
				@Override
				protected void initChannel(SocketChannel c) {
					c.pipeline().addLast(new HttpServerCodec(),
						new HttpObjectAggregator(65536), new Seen());
				}
			}).bind(8080).sync().channel().closeFuture().sync();
	}
}
