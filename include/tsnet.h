/* SPDX-License-Identifier: BSD-3-Clause
 * tsnet.h - join a tailnet from inside a C program
 *
 * A server is one node, with an identity, keys and addresses of its own. A
 * process may have as many as it likes, in different tailnets, too; nothing is
 * shared between them. A server's work is done by a thread of its own.
 *
 *	struct tsnet *ts = tsnet_new();
 *	tsnet_set(ts, "hostname", "hello");
 *	tsnet_set(ts, "auth_key", getenv("TS_AUTHKEY"));
 *	int fd = tsnet_dial(ts, "tcp", "db:5432", 30);
 *	if (fd < 0)
 *		errx(1, "%s", tsnet_errmsg(ts));
 *
 * Connections, listeners and datagram sockets are descriptors of the caller's:
 * read, write, poll, shutdown and close them as any other; they may be
 * inherited, passed on and used after a fork. Each is a socket on loopback,
 * whose far end is the server, so what the kernel says of its names is not
 * what the tailnet knows; tsnet_local_addr() and tsnet_peer_addr() say that.
 *
 * Functions may be called from any thread, and at once. tsnet_close() ends
 * those that wait; none may be called after it has been. A forked child may
 * use the descriptors, not a server that was started before: there all is
 * -ENETDOWN, and tsnet_close() does nothing.
 *
 * A program that is preloaded with libtsnet_shim.so needs none of this: its own
 * socket calls do.
 *
 * Link with `pkg-config --cflags --libs tsnet`. Errors are negative errno
 * values; tsnet_errmsg() has the words. Addresses are text, "100.64.0.1:80" or
 * "[fd7a:115c:a1e0::1]:80".
 */
#ifndef TSNET_H
#define TSNET_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TSNET_API __attribute__((visibility("default")))

enum {
	TSNET_ADDR_CAP = 64, /* any address as text, with its NUL */
	TSNET_CRED_CAP = 33 /* a credential of tsnet_loopback() */
};
/* A timeout that never ends. */
#define TSNET_FOREVER (~0u)

struct tsnet;

/* -- the server ----------------------------------------------------------- */

/* A server with the settings of the environment and tsnet.conf, not started.
 * NULL when out of memory. */
TSNET_API struct tsnet *tsnet_new(void);

/* Change a setting before the start; key as in tsnet.conf(5) ("hostname",
 * "auth_key", "control_url", "state_dir", "ephemeral", "tags", "port", ...).
 * value is copied; NULL unsets. 0, -EINVAL (unknown key), -EBUSY (started),
 * -ENOMEM. A bad value is an error of the start. */
TSNET_API int tsnet_set(struct tsnet *ts, const char *key, const char *value);

/* -- what the program does itself ----------------------------------------- *
 *
 * These functions are called on a thread that the library has for them, one at a
 * time, from the start to tsnet_close(), which waits for them. That thread has
 * the program's descriptors and all signals blocked; it may take its time, and
 * must not call functions of the same server (-EDEADLK). Before the start: 0,
 * -EINVAL, -EBUSY (started). */

enum tsnet_log_level {
	TSNET_LOG_ERROR,
	TSNET_LOG_WARN,
	TSNET_LOG_INFO,
	TSNET_LOG_DEBUG
};
/* line: no newline; never a secret. */
typedef void (*tsnet_log_fn)(void *ctx, int level, const char *line);

/* The log goes to fn, in place of log_file or standard error; which lines there
 * are is up to the setting "log_level". Those that come while a thousand wait
 * are dropped, and counted. NULL: as if nothing was set. */
TSNET_API int tsnet_set_log(struct tsnet *ts, tsnet_log_fn fn, void *ctx);

/* What a person who runs the program wants to know, in full: where to log
 * in, why a server refused, when the node runs and what its addresses are.
 * It is in the log as well. */
TSNET_API int tsnet_set_user_log(struct tsnet *ts, tsnet_log_fn fn,
				 void *ctx);

/* Where the state is kept, in place of a file in state_dir: values by keys, both
 * of them tsnet's. Values are secrets.
 *   read    at most cap bytes of the value into buf; its length, which may be
 *           more than cap (then it is called again, with more room), or a
 *           negative errno, -ENOENT when there is none
 *   write   0 when it is kept, or a negative errno: it is tried again
 *   remove  0, or a negative errno
 * A start waits 20 s for what is read; an error of read is one of the start. */
struct tsnet_store {
	ssize_t (*read)(void *ctx, const char *key, void *buf, size_t cap);
	int (*write)(void *ctx, const char *key, const void *value, size_t len);
	int (*remove)(void *ctx, const char *key);
	void *ctx;
};
/* *store is copied; NULL: none. */
TSNET_API int tsnet_set_store(struct tsnet *ts,
			      const struct tsnet_store *store);

/* -- start ---------------------------------------------------------------- */

/* Start the node; does not wait for the network. All that follow start it, if
 * that has not been done. 0 or negative errno; may be repeated. */
TSNET_API int tsnet_start(struct tsnet *ts);

/* Start and wait until the node is running. 0, -ETIMEDOUT, -EACCES (the
 * server refused: see tsnet_errmsg), -ECANCELED (closed meanwhile) or another
 * negative errno. */
TSNET_API int tsnet_up(struct tsnet *ts, unsigned timeout_s);

/* The node's addresses as text, "100.x.y.z" and "fd7a:...", "" when it has
 * none. Both buffers have cap bytes (TSNET_ADDR_CAP is enough). 0, -ENOTCONN
 * before the node is up, -ENOBUFS. */
TSNET_API int tsnet_ips(struct tsnet *ts, char *v4, char *v6, size_t cap);

/* Words for the last error of this server (of a call with an argument that
 * must not be NULL, too), "" when there was none. Valid until this thread
 * asks again; threads that use one server at once may read each other's. */
TSNET_API const char *tsnet_errmsg(struct tsnet *ts);

/* Deliver what was written (5 s), leave if ephemeral (5 s), free. Calls that
 * wait return with an error; listeners end, and other descriptors are dead, but
 * are still to be closed. NULL is fine. */
TSNET_API void tsnet_close(struct tsnet *ts);

/* -- connections ---------------------------------------------------------- */

/* Connect to address, "host:port", once the node is running: a name of the
 * tailnet, an address, or whatever else the system can resolve. What is not the
 * tailnet's goes by the host's network. network: "tcp", "udp", or with 4 or 6
 * behind it one family alone. The descriptor (close-on-exec, blocking), or a
 * negative errno: -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT,
 * -ENOENT (no such name), -EPROTONOSUPPORT, ... */
TSNET_API int tsnet_dial(struct tsnet *ts, const char *network,
			 const char *address, unsigned timeout_s);

/* Listen in the tailnet, and nowhere else, at address: ":80" for all
 * addresses of the node, "100.64.0.1:80" for one (then it waits for the node
 * to have it), or for an address in a network that the node routes (tcp).
 * network: "tcp", "tcp4", "tcp6"; or "udp", "udp4", "udp6", where each
 * remote end that sends is a connection, a UDP socket that is connected to
 * it (datagrams keep their boundaries; to end one is to close it). Port 0: a
 * free one, see tsnet_local_addr(). The listener, which is readable when a
 * connection waits, or a negative errno: -EADDRINUSE, -EADDRNOTAVAIL (not
 * the node's), -EPROTONOSUPPORT, ... */
TSNET_API int tsnet_listen(struct tsnet *ts, const char *network,
			   const char *address);

/* As tsnet_listen() of "tcp", with TLS in front of it: it ends in the node,
 * by a certificate of the node's name, which is obtained when the first
 * client asks for it. Waits until the node is running. -EPERM: the tailnet
 * has no HTTPS. */
TSNET_API int tsnet_listen_tls(struct tsnet *ts, const char *network,
			       const char *address);

enum {
	TSNET_FUNNEL_ONLY = 1, /* nobody of the tailnet */
	/* TLS is the program's to end (as with FunnelTLSConfig); certificates
	 * are at "/localapi/v0/cert/NAME?type=pair". */
	TSNET_FUNNEL_OWN_TLS = 2
};
/* The same for the whole internet, by Tailscale Funnel, and for the tailnet:
 * address ":443", ":8443" or ":10000". accept's peer is who called. -EPERM:
 * this node may not, and why. To be closed by tsnet_unlisten(). */
TSNET_API int tsnet_listen_funnel(struct tsnet *ts, const char *network,
				  const char *address, unsigned flags);

/* A Tailscale Service that this node hosts, as tsnet's ServiceMode has it. */
enum tsnet_service_kind {
	TSNET_SERVICE_TCP,  /* connections as they are */
	TSNET_SERVICE_TLS,  /* TLS of the service's name ends in the node */
	TSNET_SERVICE_HTTP, /* requests, by the node's web server */
	TSNET_SERVICE_HTTPS
};
/* What callers may do (by the tailnet's grants) is told in the header
 * Tailscale-App-Capabilities of requests below path. */
struct tsnet_app_cap {
	const char *path; /* "/..." */
	const char *cap;  /* "example.com/cap/name" */
};
struct tsnet_service {
	enum tsnet_service_kind kind;
	unsigned short port;
	/* A PROXY header, which says who the peer is, begins each connection:
	 * its version, 1 or 2; 0: none. TCP and TLS alone. */
	int proxy_protocol;
	/* HTTP and HTTPS alone: up to one whose path is NULL; NULL: none. */
	const struct tsnet_app_cap *app_caps;
};

/* Host a service, name "svc:..."; call it again for another port of it.
 * Waits until the node is running, which has to have tags; an admin, or a
 * rule, has to approve. fqdn (cap bytes; may be NULL) gets the service's
 * full name. What comes is on loopback, as in tsnet: accept's peer is the
 * node. The listener, or a negative errno: -EPERM (no tags), -EEXIST (the
 * port is served), ... To be closed by tsnet_unlisten(). */
TSNET_API int tsnet_listen_service(struct tsnet *ts, const char *name,
				   const struct tsnet_service *service,
				   char *fqdn, size_t cap);

/* Close a listener, and take back what was published for it: a service, Funnel.
 * (One that is closed by close() stays published until another one of these
 * calls notices, or the node starts anew.) 0, -EBADF (not a listener of this
 * server), or what went wrong; closed it is in every case but -EBADF. */
TSNET_API int tsnet_unlisten(struct tsnet *ts, int listener);

/* Is a connection from src to dst, "ip:port" each, wanted? 0: no, it is
 * refused. Called by tsnet_accept(), on its thread; the peer waits, some
 * seconds. It may ask the server who that is, but not close it (tsnet_close()
 * does nothing there). */
typedef int (*tsnet_wants_fn)(void *ctx, const char *src, const char *dst);

/* Listen for TCP at all ports that nobody else listens at, and for whatever the
 * node routes for others, like tsnet's RegisterFallbackTCPHandler, until it is
 * closed. tsnet_accept() takes what wants (NULL: everything) says yes to;
 * tsnet_local_addr() of the connection tells where it went. Of several such
 * listeners the one that was made first is asked first, and the next when it
 * says no: each has to be accepted from. The listener or a negative errno. */
TSNET_API int tsnet_listen_fallback(struct tsnet *ts, tsnet_wants_fn wants,
				    void *ctx);

/* Take a connection from a listener; waits for one unless the listener has
 * O_NONBLOCK. peer (cap bytes; may be NULL) gets its address in the tailnet.
 * The descriptor (close-on-exec, blocking), or a negative errno: -EAGAIN,
 * -EBADF (not a listener of this server, or the server was closed), ... */
TSNET_API int tsnet_accept(struct tsnet *ts, int listener, char *peer,
			   size_t cap);

/* The tailnet's name of a descriptor's near and far end. 0, -ENOTCONN,
 * -ENOBUFS, -EBADF. */
TSNET_API int tsnet_local_addr(struct tsnet *ts, int fd, char *out, size_t cap);
TSNET_API int tsnet_peer_addr(struct tsnet *ts, int fd, char *out, size_t cap);

/* -- datagrams ------------------------------------------------------------ */

/* A UDP socket in the tailnet. address has to name an IP address of the node;
 * 0.0.0.0 is all of IPv4, :: all of both. The descriptor or a negative errno as
 * of tsnet_listen(). */
TSNET_API int tsnet_listen_packet(struct tsnet *ts, const char *network,
				  const char *address);

/* As sendto() and recvfrom() of such a socket, with the tailnet's addresses
 * (to an address, not a name; from may be NULL). The length or a negative
 * errno. tsnet_recvfrom() waits unless the socket has O_NONBLOCK. */
TSNET_API ssize_t tsnet_sendto(struct tsnet *ts, int fd, const void *data,
			       size_t len, const char *to);
TSNET_API ssize_t tsnet_recvfrom(struct tsnet *ts, int fd, void *data,
				 size_t cap, char *from, size_t from_cap);

/* -- the LocalAPI --------------------------------------------------------- */

/* Path of the LocalAPI socket (for tailscale --socket=), valid until close;
 * NULL before the start. */
TSNET_API const char *tsnet_localapi(struct tsnet *ts);

/* The answer of the LocalAPI to a request, such as "GET" "/localapi/v0/status",
 * as JSON text that free() frees; NULL: an error. Waits, at most 15 s. */
TSNET_API char *tsnet_local_request(struct tsnet *ts, const char *method,
				    const char *path);

/* The same with JSON that goes along (NULL: nothing), such as "PATCH"
 * "/localapi/v0/prefs" {"ShieldsUp":true,"ShieldsUpSet":true}; and whatever the
 * answer is, as text that free() frees. */
TSNET_API char *tsnet_local_send(struct tsnet *ts, const char *method,
				 const char *path, const char *text);

/* Who has this address, "ip" or "ip:port": the node, its user and what its
 * grants say, as JSON (apitype.WhoIsResponse) that free() frees; NULL: nobody,
 * or an error. */
TSNET_API char *tsnet_whois(struct tsnet *ts, const char *address);

/* The names that this node can have certificates for, a line each, as text that
 * free() frees; "" for none; NULL: an error. */
TSNET_API char *tsnet_cert_domains(struct tsnet *ts);

/* Write the packets inside the tunnel to the file at path, made anew, as pcapng
 * with comments that name peers, until tsnet_close(). 0 when it has begun, or a
 * negative errno. */
TSNET_API int tsnet_capture_pcap(struct tsnet *ts, const char *path);

/* Where the server keeps keys and sockets; valid until close, NULL before the
 * start. */
TSNET_API const char *tsnet_root_path(struct tsnet *ts);

/* Open a port of 127.0.0.1, once (later calls tell the same): a SOCKS5 proxy
 * (TCP; user "tsnet", password proxy_cred), an HTTP proxy of the same
 * credentials, and the LocalAPI over HTTP, for requests with the header
 * "Sec-Tailscale: localapi" and local_cred as the password of basic
 * authorization. addr gets "127.0.0.1:port". 0, -ENOBUFS, or another negative
 * errno; all three are terminated in every case. */
TSNET_API int tsnet_loopback(struct tsnet *ts, char *addr, size_t cap,
			     char proxy_cred[TSNET_CRED_CAP],
			     char local_cred[TSNET_CRED_CAP]);

#ifdef __cplusplus
}
#endif
#endif
