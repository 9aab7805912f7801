/* SPDX-License-Identifier: BSD-3-Clause
 * resolver.c - name lookups by c-ares on the loop
 *
 * c-ares tells which sockets it wants watched and when it wants to be called
 * again; both map to the loop's watches and one timer. Answers may come while
 * ares_getaddrinfo() is still on the stack (the hosts file, a bad name), but
 * our callers are promised "later": every answer is parked in its lookup and
 * delivered by a timer of its own.
 *
 * c-ares cannot take back one question, so cancelling only forgets the caller;
 * the lookup is freed when c-ares lets go of it. resolv.conf is read once and
 * again when the file changed, which a stat() per lookup tells.
 *
 * We bring the socket functions, because c-ares writes to TCP name servers
 * without MSG_NOSIGNAL and SIGPIPE would hit the program that we live in.
 */
#include "core/io/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"

enum {
	IPS_MAX = 32,
	QUERY_TIMEOUT_MS = 2000,
	QUERY_TRIES = 2,
	ERROR_CAP = 96,
};

#define RESOLV_CONF "/etc/resolv.conf"

struct ts_resolve {
	struct ts_resolve *next;
	struct ts_resolver *r;
	struct ts_timer *deliver;
	ts_resolve_fn fn; /* NULL: cancelled */
	void *ctx;
	bool in_ares;
	char error[ERROR_CAP]; /* "": none */
	struct ts_ip ips[IPS_MAX];
	size_t count;
};

struct ares_fd {
	struct ares_fd *next;
	struct ts_resolver *r;
	struct ts_watch *watch;
	int fd;
};

struct ts_resolver {
	struct ts_loop *loop;
	ares_channel channel;
	bool has_channel;
	struct stat conf; /* of resolv.conf when the channel was made */
	struct ts_timer *timer;
	struct ts_resolve *lookups;
	struct ares_fd *fds;
};

/* -- sockets for c-ares --------------------------------------------------- */

static ares_socket_t open_socket(int family, int type, int proto, void *ctx)
{
	(void)ctx;
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, proto);
}

static int close_socket(ares_socket_t fd, void *ctx)
{
	(void)ctx;
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *sa,
			  ares_socklen_t len, void *ctx)
{
	(void)ctx;
	return connect(fd, sa, len);
}

static ares_ssize_t receive(ares_socket_t fd, void *buf, size_t len, int flags,
			    struct sockaddr *from, ares_socklen_t *from_len,
			    void *ctx)
{
	(void)ctx;
	return recvfrom(fd, buf, len, flags, from, from_len);
}

static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *iov,
				int count, void *ctx)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov,
		.msg_iovlen = (size_t)count,
	};

	(void)ctx;
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_vector,
};

/* -- c-ares on the loop --------------------------------------------------- */

static void arm_timer(struct ts_resolver *r)
{
	struct timeval tv;

	if (!r->has_channel || !ares_timeout(r->channel, NULL, &tv)) {
		ts_timer_set(r->timer, UINT64_MAX);
		return;
	}
	/* One more: c-ares looks at microseconds, the loop at milliseconds. */
	ts_timer_set(r->timer,
		     ts_loop_now_ms(r->loop) + (uint64_t)tv.tv_sec * 1000 +
			     (uint64_t)tv.tv_usec / 1000 + 1);
}

static void on_timer(void *ctx)
{
	struct ts_resolver *r = ctx;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timer(r);
}

static void on_socket(void *ctx, unsigned events)
{
	struct ares_fd *f = ctx;
	struct ts_resolver *r = f->r;
	int fd = f->fd;

	ares_process_fd(r->channel,
			events & TS_READABLE ? fd : ARES_SOCKET_BAD,
			events & TS_WRITABLE ? fd : ARES_SOCKET_BAD);
	arm_timer(r); /* f may be gone */
}

static void forget_socket(struct ares_fd **at)
{
	struct ares_fd *f = *at;

	*at = f->next;
	ts_watch_free(f->watch);
	free(f);
}

static void on_socket_state(void *ctx, ares_socket_t fd, int readable,
			    int writable)
{
	struct ts_resolver *r = ctx;
	unsigned events = (readable ? TS_READABLE : 0u) |
			  (writable ? TS_WRITABLE : 0u);
	struct ares_fd **at = &r->fds;
	struct ares_fd *f;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	if (*at && !events) {
		forget_socket(at);
		return;
	}
	if (*at) {
		ts_watch_set((*at)->watch, events);
		return;
	}
	if (!events)
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		return; /* the question times out */
	f->r = r;
	f->fd = fd;
	f->watch = ts_watch_new(r->loop, fd, events, on_socket, f);
	if (!f->watch) {
		free(f);
		return;
	}
	f->next = r->fds;
	r->fds = f;
}

static int open_channel(struct ts_resolver *r)
{
	struct ares_options options = {
		.timeout = QUERY_TIMEOUT_MS,
		.tries = QUERY_TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int status;

	if (stat(RESOLV_CONF, &r->conf))
		memset(&r->conf, 0, sizeof(r->conf));
	status = ares_init_options(&r->channel, &options,
				   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					   ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS) {
		log_warn("resolver: set-up: %s", ares_strerror(status));
		return status == ARES_ENOMEM ? -ENOMEM : -EIO;
	}
	ares_set_socket_functions(r->channel, &socket_functions, NULL);
	r->has_channel = true;
	return 0;
}

static void close_channel(struct ts_resolver *r)
{
	if (r->has_channel)
		ares_destroy(r->channel);
	r->has_channel = false;
	while (r->fds)
		forget_socket(&r->fds);
}

static bool is_busy(const struct ts_resolver *r)
{
	for (struct ts_resolve *q = r->lookups; q; q = q->next)
		if (q->in_ares)
			return true;
	return false;
}

/* A changed resolv.conf (new network, VPN) needs a new channel; questions in
 * flight keep the old one until they are done. */
static int refresh_channel(struct ts_resolver *r)
{
	struct stat now;

	if (r->has_channel) {
		if (stat(RESOLV_CONF, &now))
			memset(&now, 0, sizeof(now));
		if ((now.st_ino == r->conf.st_ino &&
		     now.st_size == r->conf.st_size &&
		     now.st_mtim.tv_sec == r->conf.st_mtim.tv_sec &&
		     now.st_mtim.tv_nsec == r->conf.st_mtim.tv_nsec) ||
		    is_busy(r))
			return 0;
		close_channel(r);
	}
	return open_channel(r);
}

struct ts_resolver *ts_resolver_new(struct ts_loop *loop)
{
	struct ts_resolver *r = calloc(1, sizeof(*r));

	if (!r || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(r);
		return NULL;
	}
	r->loop = loop;
	r->timer = ts_timer_new(loop, on_timer, r);
	if (!r->timer) {
		ares_library_cleanup();
		free(r);
		return NULL;
	}
	return r; /* the channel waits for the first name to look up */
}

/* -- lookups -------------------------------------------------------------- */

static void free_lookup(struct ts_resolve *q)
{
	struct ts_resolve **at = &q->r->lookups;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	ts_timer_free(q->deliver);
	free(q);
}

void ts_resolver_free(struct ts_resolver *r)
{
	if (!r)
		return;
	for (struct ts_resolve *q = r->lookups; q; q = q->next)
		q->fn = NULL;
	close_channel(r); /* c-ares answers (and so frees) what it holds */
	while (r->lookups)
		free_lookup(r->lookups);
	ts_timer_free(r->timer);
	ares_library_cleanup();
	free(r);
}

static void deliver(void *ctx)
{
	struct ts_resolve *q = ctx;
	struct ts_resolve done = *q;

	free_lookup(q);
	done.fn(done.ctx, done.error[0] ? done.error : NULL, done.ips,
		done.count);
}

static void deliver_soon(struct ts_resolve *q)
{
	ts_timer_set(q->deliver, ts_loop_now_ms(q->r->loop));
}

static void fail(struct ts_resolve *q, const char *why)
{
	snprintf(q->error, sizeof(q->error), "%s", why);
	q->count = 0;
}

static const char *status_text(int status)
{
	switch (status) {
	case ARES_ENOTFOUND:
		return "no such host";
	case ARES_ENODATA:
		return "the name has no address";
	case ARES_ETIMEOUT:
		return "name servers do not answer";
	case ARES_ECONNREFUSED:
		return "no name server could be reached";
	case ARES_EBADNAME:
		return "not a host name";
	default:
		return ares_strerror(status);
	}
}

static void add_ip(struct ts_resolve *q, const struct ares_addrinfo_node *node)
{
	struct ts_addr addr;

	if (q->count == IPS_MAX ||
	    ts_addr_from_sockaddr(node->ai_addr, node->ai_addrlen, &addr) < 0)
		return;
	for (size_t i = 0; i < q->count; i++)
		if (ts_ip_equal(&q->ips[i], &addr.ip))
			return;
	q->ips[q->count++] = addr.ip;
}

static void on_answer(void *ctx, int status, int timeouts,
		      struct ares_addrinfo *info)
{
	struct ts_resolve *q = ctx;

	(void)timeouts;
	q->in_ares = false;
	if (info && status == ARES_SUCCESS)
		for (struct ares_addrinfo_node *n = info->nodes; n;
		     n = n->ai_next)
			add_ip(q, n);
	if (info)
		ares_freeaddrinfo(info);
	if (!q->fn) {
		free_lookup(q);
		return;
	}
	if (status != ARES_SUCCESS)
		fail(q, status_text(status));
	else if (!q->count)
		fail(q, status_text(ARES_ENODATA));
	deliver_soon(q);
}

static void ask(struct ts_resolve *q, const char *name)
{
	/* No sorting: it opens a socket per address; links race anyway. */
	const struct ares_addrinfo_hints hints = {
		.ai_flags = ARES_AI_NOSORT,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
	};

	q->in_ares = true;
	ares_getaddrinfo(q->r->channel, name, NULL, &hints, on_answer, q);
	arm_timer(q->r);
}

/* RFC 6761 6.3: these names never leave the machine, and are answered even
 * where neither a hosts file nor a name server is to be had. */
static bool is_localhost(const char *name)
{
	static const char suffix[] = "localhost";
	size_t len = strlen(name), n = sizeof(suffix) - 1;

	if (len > 0 && name[len - 1] == '.')
		len--;
	if (len < n || strncasecmp(name + len - n, suffix, n) != 0)
		return false;
	return len == n || name[len - n - 1] == '.';
}

static void answer_localhost(struct ts_resolve *q)
{
	ts_ip_parse("127.0.0.1", &q->ips[0]);
	ts_ip_parse("::1", &q->ips[1]);
	q->count = 2;
	deliver_soon(q);
}

struct ts_resolve *ts_resolver_lookup(struct ts_resolver *r, const char *name,
				      ts_resolve_fn fn, void *ctx)
{
	struct ts_resolve *q = calloc(1, sizeof(*q));
	int err;

	if (!q)
		return NULL;
	q->r = r;
	q->fn = fn;
	q->ctx = ctx;
	q->deliver = ts_timer_new(r->loop, deliver, q);
	if (!q->deliver) {
		free(q);
		return NULL;
	}
	q->next = r->lookups;
	r->lookups = q;

	if (!ts_ip_parse(name, &q->ips[0])) {
		q->count = 1;
		deliver_soon(q);
		return q;
	}
	if (is_localhost(name)) {
		answer_localhost(q);
		return q;
	}
	err = name[0] ? refresh_channel(r) : -EINVAL;
	if (err) {
		fail(q, name[0] ? ts_strerror(err) : "empty host name");
		deliver_soon(q);
		return q;
	}
	ask(q, name);
	return q;
}

void ts_resolve_cancel(struct ts_resolve *q)
{
	if (!q)
		return;
	q->fn = NULL;
	if (!q->in_ares)
		free_lookup(q);
}
