/* SPDX-License-Identifier: BSD-3-Clause
 * api_internal.h - struct tsnet, and what the files behind tsnet.h share
 *
 *   api         settings, start, end
 *   api_wait    for the node, for a descriptor
 *   api_host    questions to the server's own host, and its table
 *   api_dial    connections to others
 *   api_listen  connections from others
 *   api_names   who is at the other end
 *   api_flows   ... of UDP, one descriptor for each remote end
 *   api_packet  datagrams
 *   api_publish what the node does in front of a listener: TLS, Funnel
 *   api_service ... and services
 *   api_serve   ... and how it is told to
 *   api_given   what the program does itself; api_calls runs it
 *   api_capture the packets inside the tunnel, into a file
 *   api_local   the LocalAPI, in this process and on loopback
 */
#ifndef CORE_ENGINE_API_INTERNAL_H
#define CORE_ENGINE_API_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#include "core/broker/broker_wire.h"
#include "core/engine/api_calls.h"
#include "core/engine/engine_thread.h"
#include "tsnet.h"

enum {
	API_SETTINGS_MAX = 64,
	API_ERR_CAP = 256,
	API_PATH_CAP = 256,
	API_NETWORK_LEN = 8,
};

/* A listening socket of the caller's. */
struct api_listener {
	int fd;
	ino_t inode; /* the number may be another socket's by now */
	bool is_native; /* on loopback itself: whoever calls is welcome */
	bool is_flows;	      /* of UDP */
	struct ts_addr local; /* in the tailnet; of UDP only */
	bool is_fallback;
	tsnet_wants_fn wants; /* of a fallback, with wants_ctx; or NULL */
	void *wants_ctx;
};

struct tsnet {
	char *settings[API_SETTINGS_MAX]; /* "NAME=value", wiped when freed */
	size_t setting_count;
	struct api_given given;
	struct api_calls *calls; /* NULL: nothing was given */
	struct ts_engine_thread host;
	/* Since the start, and until the end. */
	const struct ts_table_layout *table;
	char broker[TS_TABLE_PATH_CAP]; /* abstract name */
	char localapi[API_PATH_CAP], root[API_PATH_CAP];
	pthread_mutex_t start_lock; /* one start, others wait for it */
	pthread_mutex_t lock;	    /* of what follows */
	pthread_cond_t changed;
	_Atomic pid_t pid; /* where it was started: a child has no engine */
	bool is_started, is_closing;
	unsigned users; /* calls that are under way */
	enum ts_node_state state;
	char v4[TS_IP_TEXT_CAP], v6[TS_IP_TEXT_CAP];
	char node_error[API_ERR_CAP];
	char user_told[API_ERR_CAP + 64]; /* last, in the user's log */
	bool has_failed; /* node_error is one, not where to log in */
	struct api_listener *listeners;
	size_t listener_count;
	pthread_mutex_t publish_lock; /* of what follows; taken before lock */
	bool has_no_leftovers; /* what the last run published is gone */
	struct api_published *published; /* api_publish.c */
	pthread_mutex_t errmsg_lock; /* of what follows */
	char errmsg[API_ERR_CAP];
};

/* -- api.c ---------------------------------------------------------------- */
/* Sets the words, returns code. */
int api_fail(struct tsnet *ts, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What a caller must have given. 0 or -EINVAL with words that name it;
 * without a server there is no place for words. */
int api_check(struct tsnet *ts, bool is_given, const char *what);
/* Starts the server if need be, which must not be NULL. 0: the caller may
 * use its parts until api_leave(), even while it is being closed. */
int api_enter(struct tsnet *ts);
void api_leave(struct tsnet *ts);
/* 0, or -EINVAL, -EDEADLK or -EBUSY with words about what. */
int api_check_open(struct tsnet *ts, const char *what);
/* The two halves of tsnet_close(): calls that come between them fail. */
void api_stop(struct tsnet *ts);
void api_free(struct tsnet *ts);
bool api_is_closing(struct tsnet *ts);

/* -- api_wait.c ----------------------------------------------------------- */
struct timespec api_deadline(unsigned timeout_s);
/* Milliseconds until then, for poll(). */
int api_left_ms(const struct timespec *end);
/* Between api_enter() and api_leave(). 0, -ETIMEDOUT, -EACCES, -ECANCELED. */
int api_wait_running(struct tsnet *ts, const struct timespec *end);
bool api_is_nonblocking(int fd);
/* Between the two as well: waits until there is something to read or to accept,
 * unless fd is not to be waited for. 0, -ECANCELED, or another -errno. */
int api_wait_readable(struct tsnet *ts, int fd);

/* -- api_given.c ---------------------------------------------------------- */
/* A change of the node's state, in words for the user's log; the node's lock is
 * held. */
void api_tell_user(struct tsnet *ts, enum ts_node_state before,
		   const char *error, const char *url);

/* -- api_host.c ----------------------------------------------------------- */
int api_host_attach(struct tsnet *ts);
void api_host_detach(struct tsnet *ts);
/* 0 or a negative errno, the reply's, too. pass_fd may be -1. */
int api_host_ask(struct tsnet *ts, struct ts_broker_request *req, int pass_fd,
		 struct ts_broker_reply *rep);
/* What the table knows of a socket with these native ends. */
bool api_host_find(const struct tsnet *ts, uint8_t proto,
		   const struct ts_addr *local, const struct ts_addr *remote,
		   struct ts_flow_entry *out);

/* -- api_dial.c ----------------------------------------------------------- */
/* "tcp", "tcp4", "udp6", ...: IPPROTO_TCP or IPPROTO_UDP, and 0, 4 or 6; or
 * -EPROTONOSUPPORT. */
int api_parse_network(const char *network, int *family);
/* "host:port", "[host]:port", ":port"; port may be a name of services(5). */
int api_split_address(const char *address, const char *proto, char *host,
		      size_t host_cap, uint16_t *port);
/* Native sockets. fd, or -errno. */
int api_socket(int type, const struct ts_addr *at);
int api_bind(int fd, const struct ts_addr *at);
/* 0, also when it is on its way. */
int api_connect(int fd, const struct ts_addr *to);
int api_native_local(int fd, struct ts_addr *out);
int api_native_peer(int fd, struct ts_addr *out);
void api_send_at_once(int fd); /* TCP: as Go's connections do */
int api_option(int fd, int name); /* of SOL_SOCKET */

/* -- api_listen.c --------------------------------------------------------- */
/* "ip:port" or ":port" of a network that is known, as tsnet reads it. 0, or
 * -EINVAL with the words. */
int api_parse_listen(struct tsnet *ts, const char *network, int proto,
		     int family, const char *address, struct ts_addr *out);
/* As tsnet_listen() of TCP, with flags of LISTEN: fd, or -errno. */
int api_listen_tcp(struct tsnet *ts, int family, struct ts_addr *asked,
		   uint8_t flags);
/* The words of what that returned. */
int api_fail_listen(struct tsnet *ts, int code, const char *network,
		    const char *address);
/* A native socket that stands for *asked in the tailnet, whose port is told
 * when it was 0. fd, or -errno. */
int api_bind_tailnet(struct tsnet *ts, uint8_t proto, int family,
		     struct ts_addr *asked);
/* l->fd is a listener from now on, to be ended with the server. */
int api_remember(struct tsnet *ts, const struct api_listener *l);
/* Is fd a listener of this server's? out may be NULL. */
bool api_find_listener(struct tsnet *ts, int fd, struct api_listener *out);
/* Is this the thread of an accept that asks the program what it wants? */
bool api_is_asking(const struct tsnet *ts);
/* From now on they accept nothing, and who waits there is told. */
void api_end_listeners(struct tsnet *ts);

/* -- api_names.c ---------------------------------------------------------- */
/* 0 or -ENOBUFS. */
int api_write_addr(const struct ts_addr *addr, char *out, size_t cap);
/* Both ends of a socket in the tailnet, port 0 for none; on the host's network
 * if it is there. 0 or -errno. */
int api_names_of(const struct tsnet *ts, int fd, struct ts_addr *local,
		 struct ts_addr *peer);

/* -- api_serve.c: the serve configuration and preferences ----------------- */
struct api_handler {
	const char *service; /* "svc:..." */
	const struct tsnet_service *mode;
	const char *fqdn;
	uint16_t native_port; /* where connections go */
};
/* Nothing is served any more, and no service advertised. Each of these: 0, or
 * -errno with words. */
int api_serve_clear(struct tsnet *ts);
/* -EEXIST: the port has a handler. */
int api_serve_add(struct tsnet *ts, const struct api_handler *h);
int api_serve_remove(struct tsnet *ts, const struct api_handler *h);
/* target: "host:port". *was_on: it was already, and nothing has changed. */
int api_serve_funnel(struct tsnet *ts, const char *target, bool on,
		     bool *was_on);
/* Has the node the right to it? */
int api_serve_may_funnel(struct tsnet *ts, uint16_t port);
/* The whole configuration: TLS of port 443 ends in the node, and what was
 * inside goes to this port of 127.0.0.1, for the internet as well. */
int api_serve_localhost(struct tsnet *ts, const char *domain, uint16_t port);
int api_serve_advertise(struct tsnet *ts, const char *service, bool on);

/* -- api_publish.c -------------------------------------------------------- */
/* After the node is up: what a former run of this node published goes. 0, or
 * -errno with words. */
int api_forget_leftovers(struct tsnet *ts);
void api_free_published(struct tsnet *ts);
/* What tailscale_enable_funnel_to_localhost_plaintext_http1() does. */
int api_funnel_to_localhost(struct tsnet *ts, int port);

/* -- api_flows.c ---------------------------------------------------------- */
/* As tsnet_listen() of UDP: fd, or -errno. */
int api_listen_flows(struct tsnet *ts, int family, struct ts_addr *asked);
/* As tsnet_accept() of such a listener. */
int api_accept_flow(struct tsnet *ts, int listener);

#endif
