/* SPDX-License-Identifier: BSD-3-Clause
 * api_dial.c - connections to others
 *
 * The caller's socket calls R, the host's rendezvous, as a program's would
 * (shim/hook_connect.c says how that goes): bound to a loopback address, told
 * of, connected, and answered when the far end has answered. What is not the
 * tailnet's is dialled on the host's network, as tsnet does.
 *
 * Names: the node's first; what it does not know is the system resolver's
 * business, which takes its own time.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/broker/rendezvous_rule.h"
#include "core/crypto/secret.h"
#include "core/engine/api_internal.h"

enum { ADDRS_MAX = 16, BIND_TRIES = 8, CONNECT_TRIES = 3, HOST_CAP = 256,
       SERVICE_BUF = 1024 };

struct dialling {
	struct tsnet *ts;
	uint8_t proto;
	int family; /* 0, 4, 6 */
	struct timespec end;
	struct ts_addr addrs[ADDRS_MAX];
	size_t count;
	uint16_t port;
};

/* -- text ----------------------------------------------------------------- */

int api_parse_network(const char *network, int *family)
{
	static const struct {
		const char *name;
		int proto, family;
	} known[] = {
		{"tcp", IPPROTO_TCP, 0},  {"tcp4", IPPROTO_TCP, 4},
		{"tcp6", IPPROTO_TCP, 6}, {"udp", IPPROTO_UDP, 0},
		{"udp4", IPPROTO_UDP, 4}, {"udp6", IPPROTO_UDP, 6},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(network, known[i].name) != 0)
			continue;
		*family = known[i].family;
		return known[i].proto;
	}
	return -EPROTONOSUPPORT;
}

static int parse_port(const char *text, const char *proto, uint16_t *out)
{
	char buf[SERVICE_BUF];
	struct servent entry, *found = NULL;
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9') {
		if (*end || n > UINT16_MAX)
			return -EINVAL;
		*out = (uint16_t)n;
		return 0;
	}
	if (getservbyname_r(text, proto, &entry, buf, sizeof(buf), &found) ||
	    !found)
		return -EINVAL;
	*out = ntohs((uint16_t)entry.s_port);
	return 0;
}

int api_split_address(const char *address, const char *proto, char *host,
		      size_t host_cap, uint16_t *port)
{
	const char *colon = strrchr(address, ':');
	const char *at = address;
	size_t len;

	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - address);
	if (*at == '[') {
		if (len < 2 || at[len - 1] != ']')
			return -EINVAL;
		at++;
		len -= 2;
	} else if (memchr(at, ':', len)) {
		return -EINVAL; /* IPv6 without brackets */
	}
	if (len >= host_cap)
		return -EINVAL;
	memcpy(host, at, len);
	host[len] = '\0';
	return parse_port(colon + 1, proto, port);
}

/* -- native sockets ------------------------------------------------------- */

int api_socket(int type, const struct ts_addr *at)
{
	int fd = socket(ts_addr_family(at), type | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

int api_bind(int fd, const struct ts_addr *at)
{
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(at, ts_addr_family(at), &sa);

	if (len < 0)
		return len;
	return bind(fd, (struct sockaddr *)&sa, (socklen_t)len) ? -errno : 0;
}

int api_connect(int fd, const struct ts_addr *to)
{
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(to, ts_addr_family(to), &sa);

	if (len < 0)
		return len;
	if (connect(fd, (struct sockaddr *)&sa, (socklen_t)len) == 0 ||
	    errno == EINPROGRESS)
		return 0;
	return -errno;
}

int api_native_local(int fd, struct ts_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&sa, len, out);
}

int api_native_peer(int fd, struct ts_addr *out)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getpeername(fd, (struct sockaddr *)&sa, &len) != 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&sa, len, out);
}

int api_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -errno : value;
}

/* -- names ---------------------------------------------------------------- */

static void add(struct dialling *d, const struct ts_ip *ip)
{
	bool v4 = ts_ip_is_v4(ip);

	if (d->count == ADDRS_MAX || (d->family == 4 && !v4) ||
	    (d->family == 6 && v4))
		return;
	d->addrs[d->count++] = (struct ts_addr){.ip = *ip, .port = d->port};
}

static int ask_system(struct dialling *d, const char *host)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	int code = getaddrinfo(host, NULL, &hints, &list);

	if (code)
		return code == EAI_MEMORY  ? -ENOMEM
		       : code == EAI_AGAIN ? -EAGAIN
					   : -ENOENT;
	for (const struct addrinfo *at = list; at; at = at->ai_next) {
		struct ts_addr addr;

		if (ts_addr_from_sockaddr(at->ai_addr, at->ai_addrlen,
					  &addr) == 0)
			add(d, &addr.ip);
	}
	freeaddrinfo(list);
	return 0;
}

/* A name of the tailnet is never asked for elsewhere. */
static int ask_node(struct dialling *d, const char *host)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_RESOLVE,
		.flags = TS_BROKER_WANT_V4 | TS_BROKER_WANT_V6};
	struct ts_broker_reply rep;
	int err;

	if (strlen(host) >= sizeof(req.name))
		return -EINVAL;
	strcpy(req.name, host);
	err = api_host_ask(d->ts, &req, -1, &rep);
	if (err)
		return err;
	if (rep.answer == TS_ANSWER_NOT_OURS)
		return ask_system(d, host);
	for (int i = 0; i < rep.addr_count; i++)
		add(d, &rep.addrs[i]);
	return rep.answer == TS_ANSWER_NXDOMAIN ? -ENOENT : 0;
}

static int resolve(struct dialling *d, const char *host)
{
	struct ts_ip ip;
	int err = 0;

	if (!*host) /* as Go has it */
		ip = ts_ip_from_v4_host(INADDR_LOOPBACK);
	if (!*host || ts_ip_parse(host, &ip) == 0)
		add(d, &ip);
	else
		err = ask_node(d, host);
	return err ? err : d->count ? 0 : -EADDRNOTAVAIL;
}

/* -- one address ---------------------------------------------------------- */

static int bind_loopback(int fd, const struct ts_table_info *info)
{
	struct ts_addr at = {.ip = ts_ip_from_v4_host(INADDR_LOOPBACK)};
	int err = -EADDRINUSE;

	for (int i = 0; i < BIND_TRIES && err == -EADDRINUSE; i++) {
		uint64_t random;

		ts_random_bytes(&random, sizeof(random));
		if (!info->one_loopback)
			at.ip = ts_loopback_from(random);
		err = api_bind(fd, &at);
	}
	return err;
}

static int call_rendezvous(const struct dialling *d, int fd,
			   const struct ts_table_info *info,
			   const struct ts_addr *to)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.flags = TS_BROKER_NONBLOCK,
					.tailnet = *to};
	struct ts_broker_reply rep;
	int err = api_native_local(fd, &req.native_local);
	unsigned n = 0;

	if (err)
		return err;
	err = -EADDRNOTAVAIL;
	for (int i = 0; i < CONNECT_TRIES && err == -EADDRNOTAVAIL; i++, n++) {
		if (!ts_rendezvous_choose(d->ts->table, info,
					  &req.native_local, &n,
					  &req.native_remote))
			return -ENETUNREACH;
		err = api_host_ask(d->ts, &req, fd, &rep);
		if (!err)
			err = api_connect(fd, &req.native_remote);
	}
	return err;
}

static int call_peer(const struct dialling *d, int fd, const struct ts_addr *to)
{
	struct ts_table_info info;
	int err;

	if (!ts_table_read_info(d->ts->table, &info))
		return -ENETDOWN;
	err = bind_loopback(fd, &info);
	return err ? err : call_rendezvous(d, fd, &info, to);
}

/* The kernel only knows that R's side was reset; the table knows why. */
static int failure(const struct tsnet *ts, int fd, int err)
{
	struct ts_flow_entry entry;
	struct ts_addr local;

	if (err != -ECONNRESET || api_native_local(fd, &local) != 0 ||
	    !ts_rendezvous_find(ts->table, &local, true, &entry) ||
	    entry.error <= 0)
		return err;
	return -entry.error;
}

static int await(const struct dialling *d, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int left_ms = api_left_ms(&d->end);
	int n = poll(&p, 1, left_ms);

	while (n < 0 && errno == EINTR)
		n = poll(&p, 1, api_left_ms(&d->end));
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : -api_option(fd, SO_ERROR);
}

void api_send_at_once(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static int set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0
		       ? -errno
		       : 0;
}

static int call_tcp(const struct dialling *d, int fd, const struct ts_addr *to,
		    bool is_tailnet)
{
	int err = is_tailnet ? call_peer(d, fd, to) : api_connect(fd, to);

	if (!err)
		err = await(d, fd);
	if (is_tailnet)
		err = failure(d->ts, fd, err);
	if (err)
		return err;
	api_send_at_once(fd);
	return set_blocking(fd);
}

static int call_udp(const struct dialling *d, int fd, const struct ts_addr *to,
		    bool is_tailnet)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_UDP,
					.tailnet = *to};
	struct ts_broker_reply rep;
	int err;

	if (!is_tailnet)
		return api_connect(fd, to);
	err = api_host_ask(d->ts, &req, fd, &rep);
	if (!err && !ts_ip_is_loopback(&rep.native.ip))
		err = -ENETUNREACH;
	return err ? err : api_connect(fd, &rep.native);
}

static int dial_one(const struct dialling *d, const struct ts_addr *to)
{
	const struct ts_addr v4 = {.ip = TS_IP4_ZERO};
	bool is_tailnet = ts_table_claims(d->ts->table, &to->ip);
	bool is_tcp = d->proto == IPPROTO_TCP;
	int fd = api_socket(is_tcp ? SOCK_STREAM | SOCK_NONBLOCK : SOCK_DGRAM,
			    is_tailnet ? &v4 : to);
	int err;

	if (fd < 0)
		return fd;
	err = is_tcp ? call_tcp(d, fd, to, is_tailnet)
		     : call_udp(d, fd, to, is_tailnet);
	if (!err)
		return fd;
	/* The host has a duplicate, and would not hear of the close. */
	(void)shutdown(fd, SHUT_RDWR);
	close(fd);
	return err;
}

/* In turn; the last has all the time that is left. The first error is told,
 * since the first address is the best. */
static int dial_all(struct dialling *d)
{
	const struct timespec end = d->end;
	int first = 0;

	for (size_t i = 0; i < d->count; i++) {
		size_t left = d->count - i;
		int ms = api_left_ms(&end) / (int)left, fd;

		d->end = end;
		if (left > 1) {
			d->end = api_deadline((unsigned)ms / 1000);
			d->end.tv_nsec += ms % 1000 * 1000000;
		}
		fd = dial_one(d, &d->addrs[i]);
		if (fd >= 0)
			return fd;
		first = first ? first : fd;
	}
	return first;
}

static int dial(struct dialling *d, const char *network, const char *address)
{
	char host[HOST_CAP];
	int proto = api_parse_network(network, &d->family);
	int err;

	if (proto < 0)
		return api_fail(d->ts, proto, "unsupported network type \"%s\"",
				network);
	d->proto = (uint8_t)proto;
	err = api_split_address(address, proto == IPPROTO_TCP ? "tcp" : "udp",
				host, sizeof(host), &d->port);
	if (err)
		return api_fail(d->ts, err, "%.80s: not \"host:port\"",
				address);
	err = api_wait_running(d->ts, &d->end);
	if (err)
		return err;
	err = resolve(d, host);
	if (!err)
		err = dial_all(d);
	if (err < 0)
		api_fail(d->ts, err, "dial %s %.80s: %s", network, address,
			 err == -ENOENT ? "no such host" : ts_strerror(err));
	return err;
}

int tsnet_dial(struct tsnet *ts, const char *network, const char *address,
	       unsigned timeout_s)
{
	struct dialling d = {.ts = ts, .end = api_deadline(timeout_s)};
	int fd = api_check(ts, network && address, "network and address");

	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = dial(&d, network, address);
	api_leave(ts);
	return fd;
}
