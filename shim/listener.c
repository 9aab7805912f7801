/* SPDX-License-Identifier: BSD-3-Clause
 * listener.c - what a listening socket serves in the tailnet
 *
 * The host is told at listen(); of a socket that somebody else made listen
 * (socket activation, a descriptor passed on) at the first accept() or
 * question whether it listens; and of all again when another host has taken
 * over, which happens where the host was a thread of a process that ended. Of
 * a datagram socket it is told when it is bound, or first receives.
 *
 * What is remembered is one word a descriptor, in memory that fork copies. A
 * number that was closed and used again is at worst told of twice, and LISTEN
 * may be repeated.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "core/base/err.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

enum {
	TOLD = 1 << 30,
	TOLD_DATAGRAMS = 1 << 29,
	SECONDS_MASK = TOLD_DATAGRAMS - 1,
	/* The host before has allowed it. */
	ANY_SHARING = TS_BROKER_REUSE | TS_BROKER_REUSE_PORT,
};

static _Atomic uint32_t *word_of(int fd)
{
	return fd >= 0 && fd < SHIM_LISTENERS_MAX ? &shim.listeners[fd] : NULL;
}

/* -- what it serves ------------------------------------------------------- */

bool shim_listens_to(const struct ts_table_layout *table,
		     enum ts_listen_mode mode)
{
	struct ts_table_info info;

	if (table && ts_table_read_info(table, &info))
		return info.listen_mode == mode;
	return shim.listen_is_known ? shim.listen_mode == mode
				    : mode == TS_LISTEN_BOTH;
}

/* The tailnet address that a listening socket serves; false: none. */
static bool listen_address(int fd, const struct ts_addr *local,
			   struct ts_broker_request *req)
{
	struct ts_flow_entry entry;
	int domain = shim_native_domain(fd);

	req->native_local = *local;
	if (!ts_ip_is_unspecified(&local->ip)) {
		if (!shim_flow_find_bind(req->proto, local, &entry))
			return false;
		req->tailnet = entry.tailnet_local;
		return true;
	}
	if (shim_listens_to(shim_table_if_configured(), TS_LISTEN_HOST) ||
	    !atomic_load(&shim.table))
		return false;
	req->tailnet.port = local->port;
	if (domain == AF_INET)
		req->tailnet.ip = TS_IP4_ZERO;
	if (domain == AF_INET || !shim_native_is_v6_only(fd))
		req->native_local.ip = TS_IP4_ZERO;
	return true;
}

/* -- TCP_DEFER_ACCEPT ----------------------------------------------------- */

static void take_defer(int fd)
{
	const int off = 0;
	_Atomic uint32_t *word = word_of(fd);
	int seconds = shim_native_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT);

	if (seconds <= 0)
		return;
	if (word)
		atomic_fetch_or(word, (uint32_t)seconds & SECONDS_MASK);
	libc.setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &off, sizeof(off));
}

void shim_listener_defer_was_set(int fd)
{
	_Atomic uint32_t *word = word_of(fd);

	if (!atomic_load(&shim.table) ||
	    shim_native_tcp_state(fd) != TCP_LISTEN)
		return; /* the kernel keeps it until listen() */
	if (word)
		atomic_fetch_and(word, TOLD);
	take_defer(fd);
}

int shim_listener_defer(int fd)
{
	_Atomic uint32_t *word = word_of(fd);
	int seconds = word ? (int)(atomic_load(word) & SECONDS_MASK) : 0;

	if (seconds == 0 || shim_native_tcp_state(fd) != TCP_LISTEN)
		return 0;
	return seconds;
}

/* -- telling -------------------------------------------------------------- */

uint8_t shim_bind_flags(int fd)
{
	uint8_t flags = 0;

	if (shim_native_option(fd, SOL_SOCKET, SO_REUSEADDR) > 0)
		flags |= TS_BROKER_REUSE;
	if (shim_native_option(fd, SOL_SOCKET, SO_REUSEPORT) > 0)
		flags |= TS_BROKER_REUSE_PORT;
	return flags;
}

int shim_listener_tell_bound(int fd, const struct ts_addr *tailnet)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_BOUND,
		.proto = (uint8_t)shim_native_protocol(fd),
		.flags = shim_bind_flags(fd),
		.tailnet = *tailnet,
	};
	struct ts_broker_reply rep;
	int err = shim_native_local(fd, &req.native_local);

	if (err)
		return err;
	if (req.tailnet.port == 0)
		req.tailnet.port = req.native_local.port;
	return shim_ask_for(&req, fd, &rep);
}

int shim_listener_tell(int fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.flags = shim_bind_flags(fd)};
	_Atomic uint32_t *word = word_of(fd);
	struct ts_broker_reply rep;
	struct ts_addr local;
	int err;

	if (word)
		atomic_fetch_or(word, TOLD);
	if (!shim_native_is_tcp(fd) || shim_native_local(fd, &local))
		return 0;
	if (!listen_address(fd, &local, &req)) {
		if (shim.is_hosted && !atomic_load(&shim.table) &&
		    ts_ip_is_unspecified(&local.ip))
			shim_warn("port %u is not reached from the tailnet: "
				  "no answer from the host", local.port);
		return 0;
	}
	/* The host waits for ACCEPTED before it sends, the kernel for data
	 * before it lets the program accept: one of the two has to go. */
	take_defer(fd);
	err = shim_ask_for(&req, -1, &rep);
	shim_note("listen: port %u: %s", req.tailnet.port, ts_strerror(err));
	if (err == -EADDRINUSE)
		return err;
	if (err)
		shim_warn("port %u is not reached from the tailnet: %s",
			  req.tailnet.port, ts_strerror(err));
	return 0;
}

/* -- datagrams ------------------------------------------------------------ */

void shim_listener_note(int fd)
{
	_Atomic uint32_t *word = word_of(fd);

	if (word)
		atomic_fetch_or(word, TOLD_DATAGRAMS);
}

int shim_listener_tell_datagrams(int fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_UDP,
					.flags = shim_bind_flags(fd)};
	struct ts_broker_reply rep;
	struct ts_addr local;
	int err;

	shim_listener_note(fd);
	if (shim_native_local(fd, &local) || local.port == 0 ||
	    !listen_address(fd, &local, &req))
		return 0;
	err = shim_ask_for(&req, -1, &rep);
	shim_note("datagrams: port %u: %s", req.tailnet.port, ts_strerror(err));
	return err == -EADDRINUSE ? err : 0;
}

void shim_listener_meet_datagrams(int fd)
{
	_Atomic uint32_t *word = word_of(fd);
	struct ts_addr local, peer;

	if (!word || atomic_load(word) & TOLD_DATAGRAMS ||
	    atomic_fetch_or(word, TOLD_DATAGRAMS) & TOLD_DATAGRAMS)
		return;
	if (shim_native_protocol(fd) == IPPROTO_UDP &&
	    !shim_echo_protocol(fd) && shim_native_peer(fd, &peer) != 0 &&
	    shim_native_local(fd, &local) == 0 &&
	    ts_ip_is_unspecified(&local.ip))
		(void)shim_listener_tell_datagrams(fd);
}

/* -- and back to all ------------------------------------------------------ */

void shim_listener_is_fresh(int fd, int type)
{
	_Atomic uint32_t *word = word_of(fd);
	/* What we see from its beginning need not be met. */
	uint32_t value = type & SOCK_DGRAM ? TOLD_DATAGRAMS : 0;

	if (word && atomic_load_explicit(word, memory_order_relaxed) != value)
		atomic_store(word, value);
}

void shim_listener_forget(int fd)
{
	_Atomic uint32_t *word = word_of(fd);

	if (word && shim_native_tcp_state(fd) != TCP_LISTEN)
		atomic_store(word, 0);
}

void shim_listener_meet(int fd)
{
	_Atomic uint32_t *word = word_of(fd);

	if (!word || atomic_fetch_or(word, TOLD) & TOLD)
		return;
	if (shim_native_option(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0 &&
	    shim_listener_tell(fd) != 0)
		shim_note("listen: fd %d: its port is taken in the tailnet",
			  fd);
}

/* -- another host --------------------------------------------------------- */

static void tell_again(int fd, const struct ts_table_layout *old)
{
	const struct ts_addr none = {0};
	struct ts_flow_key key = {.proto = (uint8_t)shim_native_protocol(fd),
				  .remote = none};
	struct ts_flow_entry entry;

	if (shim_native_local(fd, &key.local))
		return;
	/* Bound on a loopback address that the old host chose? */
	if (ts_ip_is_loopback(&key.local.ip) &&
	    ts_table_find(old, &key, &entry) && entry.kind == TS_FLOW_BIND &&
	    shim_listener_tell_bound(fd, &entry.tailnet_local) != 0)
		return;
	if (key.proto == IPPROTO_TCP)
		(void)shim_listener_tell(fd);
	else if (!shim_echo_protocol(fd))
		(void)shim_listener_tell_datagrams(fd);
}

/* A connected one has to be connected anew; its port may be served as well. */
static void tell_datagrams_again(int fd, const struct ts_table_layout *old)
{
	struct ts_addr peer;

	if (shim_native_peer(fd, &peer) == 0)
		shim_way_move(fd, old);
	else
		tell_again(fd, old);
}

/* Listeners of processes that wait in accept() and do not know yet. One whose
 * process is gone is refused, and then forgotten by the host. */
static void tell_for_others(const struct ts_table_layout *old)
{
	struct ts_flow_key key;
	uint32_t at = 0;

	while (ts_table_next_listener(old, &at, &key)) {
		struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
						.proto = IPPROTO_TCP,
						.flags = ANY_SHARING,
						.native_local = key.local,
						.tailnet = key.remote};
		struct ts_broker_reply rep;

		if (!ts_ip_is_unspecified(&key.local.ip)) {
			req.type = TS_BROKER_BOUND;
			if (shim_ask_for(&req, -1, &rep) != 0)
				continue;
			req.type = TS_BROKER_LISTEN;
		}
		(void)shim_ask_for(&req, -1, &rep);
	}
}

void shim_listeners_move(const struct ts_table_layout *old)
{
	for (int fd = 0; fd < SHIM_LISTENERS_MAX; fd++) {
		if (!(atomic_load(&shim.listeners[fd]) &
		      (TOLD | TOLD_DATAGRAMS)))
			continue;
		if (shim_native_option(fd, SOL_SOCKET, SO_ACCEPTCONN) > 0)
			tell_again(fd, old);
		else if (shim_native_protocol(fd) == IPPROTO_UDP)
			tell_datagrams_again(fd, old);
		else
			atomic_store(&shim.listeners[fd], 0);
	}
	tell_for_others(old);
}
