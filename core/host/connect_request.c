/* SPDX-License-Identifier: BSD-3-Clause
 * connect_request.c - CONNECT, and the connects whose program is gone
 *
 * The reply says what is known at once; from then on the socket and the table
 * tell. A program that closes or dies while it waits is found by a sweep
 * through /proc, since the duplicate that we hold hides it (held_sweep.c).
 *
 * Who does not wait for the reply (UNANSWERED) is in connect() already, or just
 * before it, and is told of errors by the way of all that come later. When even
 * the table has no place for them, by none: then it asks, and hears.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/host/app_connect.h"

enum { SWEEP_INTERVAL_MS = 2000, SWEEP_BATCH = 1024 };

/* By a living connection, whose name in the table would be replaced: a socket
 * that shares its address (SO_REUSEADDR) cannot call the same R. Where R has
 * one address it may be the program's own former call, which we have not seen
 * the end of yet. */
static bool is_taken(const struct ts_host *host,
		     const struct ts_broker_request *req)
{
	const struct ts_flow_key key = {.proto = IPPROTO_TCP,
					.local = req->native_local,
					.remote = req->native_remote};
	const struct ts_entry *entry = ts_entry_find(host, &key);

	return entry && entry->expires_ms == UINT64_MAX &&
	       ts_ip_is_v4(&key.remote.ip) && !host->rv.one_loopback;
}

/* From where, to which R, and is there room? */
static int check_place(struct ts_host *host,
		       const struct ts_broker_request *req)
{
	if (req->tailnet.port == 0)
		return -ECONNREFUSED;
	ts_rendezvous_follow_uid(host);
	if (!ts_rendezvous_owns(host, &req->native_remote) ||
	    req->native_local.port == 0 || is_taken(host, req))
		return -EADDRNOTAVAIL;
	if (host->held_count >= host->held_max) {
		if (ts_log_allowed(&host->full_limit, ts_host_now_ms(host)))
			log_warn("host: %zu connects are held: refused one",
				 host->held_count);
		return -ENOBUFS;
	}
	return 0;
}

/* Is fd a TCP socket that is about to be connected to R? */
static int check_request(struct ts_host *host,
			 const struct ts_broker_request *req, int fd)
{
	int state;

	if (fd < 0) /* most likely it did not fit into our fd table */
		return -ENOBUFS;
	state = ts_sock_state(fd);
	if (state < 0)
		return -EINVAL;
	if (state == TCP_SYN_SENT && !ts_broker_is_unanswered(req))
		return -EALREADY;
	if (state == TCP_LISTEN)
		return -EINVAL;
	if (state != TCP_CLOSE && state != TCP_SYN_SENT)
		return -EISCONN;
	return check_place(host, req);
}

static void on_sweep(void *ctx);

/* One look at the socket, so that the hup watch stands; then only what happens
 * moves the connection, and the sweep. */
static int arm_timers(struct ts_conn *conn)
{
	struct ts_host *host = conn->host;
	uint64_t now_ms = ts_host_now_ms(host);
	bool waits = conn->state == CONN_DIALLING;

	if (!host->sweep)
		host->sweep = ts_timer_new(host->loop, on_sweep, host);
	if (!host->sweep)
		return -ENOMEM;
	if (host->held_count == 1)
		ts_timer_set(host->sweep, now_ms + SWEEP_INTERVAL_MS);
	ts_timer_set(conn->timer,
		     now_ms + (waits ? CONN_WATCH_MS : conn->look_ms));
	return 0;
}

void ts_conn_turn_away(struct ts_host *host,
		       const struct ts_broker_request *req, int fd, pid_t pid)
{
	struct ts_conn *conn;

	/* Not at our door, or too many even of these: the kernel gives up on R
	 * in its own time. */
	if (fd < 0 || !ts_rendezvous_owns(host, &req->native_remote) ||
	    host->held_count >= 2 * host->held_max) {
		ts_hurry_drop(fd);
		return;
	}
	conn = ts_conn_new(host, req, fd, pid);
	if (conn)
		ts_conn_fail(conn, -ECONNREFUSED);
}

void ts_conn_request(struct ts_host *host, const struct ts_broker_request *req,
		     int fd, pid_t pid, struct ts_broker_reply *rep)
{
	bool is_unanswered = ts_broker_is_unanswered(req);
	struct ts_flow_entry value = {.kind = TS_FLOW_CONNECT,
				      .state = TS_FLOW_PENDING,
				      .tailnet_remote = req->tailnet};
	int err = check_request(host, req, fd);
	struct ts_conn *conn;

	if (err && is_unanswered) {
		ts_conn_turn_away(host, req, fd, pid);
		return;
	}
	if (err) {
		ts_sock_close(fd);
		rep->error = -err;
		return;
	}
	conn = ts_conn_new(host, req, fd, pid);
	if (!conn) {
		rep->error = ENOBUFS;
		return;
	}
	err = ts_conn_begin(conn, &value.tailnet_local);
	if (!err || is_unanswered)
		conn->entry = ts_entry_put(host, &conn->key, &value);
	if (conn->entry)
		conn->entry->stand_in = ts_stand_in_get(conn->stand_in);
	if (!err)
		err = conn->entry ? arm_timers(conn) : -ENOBUFS;
	if (err && is_unanswered)
		ts_conn_fail(conn, err);
	else if (err)
		ts_conn_discard(conn);
	rep->error = -err;
	rep->tailnet = value.tailnet_local;
}

/* -- programs that closed without a word ---------------------------------- */

static bool is_worth_a_look(const struct ts_conn *conn, uint64_t now_ms)
{
	return conn->was_held && conn->pid > 0 &&
	       now_ms - conn->started_ms >= SWEEP_INTERVAL_MS;
}

static void pace(struct ts_conn *conn)
{
	if (conn->is_paced)
		return;
	conn->is_paced = true;
	conn->paced_ms = ts_held_pace(conn->dup_fd);
}

static void on_sweep(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_held held[SWEEP_BATCH];
	struct ts_conn *conns[SWEEP_BATCH];
	uint64_t now_ms, cost_ms;
	size_t count = 0;
	struct stat st;

	ts_loop_update(host->loop);
	now_ms = ts_host_now_ms(host);
	for (struct ts_link *at = host->conns.next;
	     at != &host->conns && count < SWEEP_BATCH; at = at->next) {
		struct ts_conn *conn = TS_LINK_OWNER(at, struct ts_conn, link);

		if (!is_worth_a_look(conn, now_ms) || fstat(conn->dup_fd, &st))
			continue;
		pace(conn);
		conns[count] = conn;
		held[count++] = (struct ts_held){.pid = conn->pid,
						 .inode = st.st_ino};
	}
	ts_held_look(host, held, count);
	for (size_t i = 0; i < count; i++) {
		if (!held[i].is_held) {
			ts_conn_abandon(conns[i]);
			continue;
		}
		ts_list_remove(&conns[i]->link); /* others next time */
		ts_list_insert(&host->conns, &conns[i]->link);
	}
	if (host->held_count == 0)
		return;
	/* Many fds take long to look through: at most 1 % of the time. */
	ts_loop_update(host->loop);
	cost_ms = ts_host_now_ms(host) - now_ms;
	ts_timer_set(host->sweep,
		     now_ms + SWEEP_INTERVAL_MS + 100 * cost_ms);
}

bool ts_conns_are_held_for_others(const struct ts_host *host)
{
	for (const struct ts_link *at = host->conns.next; at != &host->conns;
	     at = at->next)
		if (TS_LINK_OWNER(at, struct ts_conn, link)->pid != getpid())
			return true;
	return false;
}

void ts_conns_close(struct ts_host *host)
{
	while (!ts_list_is_empty(&host->conns)) {
		ts_conn_close(TS_LINK_OWNER(host->conns.next, struct ts_conn,
					    link));
	}
	ts_timer_free(host->sweep);
	host->sweep = NULL;
}
