/* SPDX-License-Identifier: BSD-3-Clause
 * control_state.h - what the files of the control client share
 *
 *   control_client  the public functions, the state, the order of steps
 *   control_link    key fetch, dial, upgrade, HTTP/2 session, reconnecting
 *   control_rpc     one request whose whole answer is collected
 *   control_login   register, expiry, logout
 *   login_answer    what comes of it: a key, an AuthURL, an error
 *   control_auth_key  the auth key of a login
 *   control_poll    the map stream
 *   control_update  lite updates
 *   control_ping    ping requests
 *   control_prefs   what the user changes while we run
 *   control_request requests on behalf of others
 *
 * Nothing is torn down inside a callback: a failure is only noted in the link
 * (ts_control_link_fail), and ts_control_link_reap() acts on it once the stack
 * has unwound.
 */
#ifndef CORE_CONTROL_CONTROL_STATE_H
#define CORE_CONTROL_CONTROL_STATE_H

#include "core/base/byte_queue.h"
#include "core/control/backoff.h"
#include "core/control/control_client.h"
#include "core/control/control_targets.h"
#include "core/control/h2_client.h"
#include "core/control/hostinfo_json.h"
#include "core/control/map_json.h"
#include "core/control/map_stream.h"
#include "core/control/ts2021_conn.h"

enum {
	TS_CONTROL_ERROR_CAP = 320,
	TS_PING_SLOTS = 4,
	TS_REQUEST_SLOTS = 8,
};

enum ts_control_goal { GOAL_STOP, GOAL_RUN, GOAL_LOG_OUT };

struct ts_rpc {
	struct ts_control *owner;
	int32_t stream_id; /* 0: idle */
	int status;        /* 0: no head yet */
	char retry_after[TS_H2_RETRY_AFTER_CAP];
	struct ts_byte_queue body;
	bool is_truncated; /* the body was longer than its limit */
	/* error: NULL when complete. The rpc is idle and may be started
	 * again. */
	void (*done)(struct ts_control *c, struct ts_rpc *rpc,
		     const char *error);
};

enum ts_control_link_step {
	LINK_DOWN,
	LINK_KEY,
	LINK_DIAL,
	LINK_OPEN,
	LINK_UP
};

struct ts_control_link {
	enum ts_control_link_step step;
	struct ts_ts2021_conn *conn;
	struct ts_h2_client *h2;
	struct ts_public_key server_key;
	bool has_server_key;
	bool force_https; /* an upgrade failed */
	bool only_https, https_failed; /* the last dial; nothing answered it */
	bool has_dialed;
	uint64_t last_dial_ms, deadline_ms, retry_ms, last_input_ms;
	bool is_probed;           /* an HTTP/2 PING is out */
	bool retries_now;         /* without backoff: the network changed */
	bool has_failed, is_gone; /* gone: the owner's stream has ended */
	char reason[TS_CONTROL_ERROR_CAP];
	struct ts_backoff backoff;
};

struct ts_control_login {
	bool is_done; /* registered: the map may be polled */
	/* Registered, and a login under a new key goes on beside the map: what
	 * runs stays until it has come through. */
	bool renews, renews_expired; /* expired: for that reason alone */
	bool by_person;	    /* the auth key is not to be used */
	bool waits_for_key; /* the owner was asked for an auth key */
	bool wants_new_key, made_new_key;
	bool sent_followup; /* the request under way waits for a visit */
	struct ts_private_key trying, trying_old;
	char *followup;      /* AuthURL to wait for, or NULL */
	/* Tailnet Lock: the present key's, to be signed over; or NULL */
	char *old_signature;
	char *published_url; /* the last one given to the owner */
	struct ts_rpc rpc;
	uint64_t retry_ms, sent_ms;
	uint64_t logout_end_ms; /* the server is not waited for any longer */
	struct ts_backoff backoff;
};

struct ts_control_poll {
	int32_t stream_id; /* 0: none */
	int status;
	bool got_first;
	bool is_stale; /* asked for under a key that is not ours any more */
	uint64_t first_ms; /* when, once got_first */
	bool is_held; /* held waits for resume_ms (SleepSeconds) */
	struct ts_map_response held;
	struct ts_map_stream stream;
	bool has_stream;
	char refusal[208]; /* the start of an error's body */
	uint64_t watchdog_ms, resume_ms, expiry_check_ms;
};

struct ts_control_update {
	uint64_t wanted, sent, in_flight; /* generations of what we publish */
	struct ts_rpc rpc;
	uint64_t retry_ms, deadline_ms;
	struct ts_backoff backoff;
	struct ts_addr *endpoints;
	int *endpoint_types;
	size_t endpoint_count;
	struct ts_net_info net_info;
	bool has_net_info;
	uint16_t peerapi4_port, peerapi6_port;
	char tka_head[64];
};

struct ts_control_ping {
	struct ts_rpc rpcs[TS_PING_SLOTS];
	size_t next;
	char *last_url;
	char *browsed; /* the last PopBrowserURL */
};

struct ts_control_request {
	struct ts_rpc rpc;
	ts_control_reply_fn fn; /* NULL: free */
	void *fn_ctx;
	uint64_t deadline_ms;
	bool is_sent;
	const char *method;
	char *path, *body;
	size_t reply_max;
};

struct ts_control {
	struct ts_control_config config; /* texts are ours */
	bool auth_key_was_made; /* config's, for one login */
	struct ts_control_url url;
	struct ts_control_ops ops;
	void *ctx;
	enum ts_control_goal goal;
	bool is_disconnected; /* goal is to stop, but for now alone */
	struct ts_control_serve serve;
	enum ts_control_state state;
	char error[TS_CONTROL_ERROR_CAP]; /* last reported, "" when cleared */
	uint64_t now_ms;
	unsigned depth; /* public calls under way */
	struct ts_netmap *netmap;
	/* What the registration told us of the user. */
	int64_t user_id;
	char *login_name, *display_name, *profile_pic_url;
	struct ts_control_link link;
	struct ts_control_login login;
	struct ts_control_poll poll;
	struct ts_control_update update;
	struct ts_control_ping ping;
	struct ts_control_request requests[TS_REQUEST_SLOTS];
};

/* Every public function that may cause work stands between these two: the
 * outermost leave acts on what has come up. */
void ts_control_enter(struct ts_control *c, uint64_t now_ms);
void ts_control_leave(struct ts_control *c);
/* The one writer of state. error: NULL for none; a repeated one is quiet. */
void ts_control_set_state(struct ts_control *c, enum ts_control_state state,
			  const char *error);
/* Keeps the state; the owner hears of an error it has not heard yet. */
void ts_control_report(struct ts_control *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
struct ts_hostinfo ts_control_hostinfo(const struct ts_control *c);
int64_t ts_control_wall_clock(const struct ts_control *c);

void ts_control_link_open(struct ts_control *c);
/* Note a failure; the first reason stays. */
void ts_control_link_fail(struct ts_control *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The upgrade did not work: another port, and a fresh key, next time. */
void ts_control_link_distrust(struct ts_control *c);
/* Tear down a failed link and plan the next attempt. */
void ts_control_link_reap(struct ts_control *c);
/* Orderly: no retry is planned. */
void ts_control_link_close(struct ts_control *c);
void ts_control_link_start_upgrade(struct ts_control *c);
void ts_control_link_input(struct ts_control *c, const uint8_t *data,
			   size_t len);
void ts_control_link_flush(struct ts_control *c);
void ts_control_link_tick(struct ts_control *c);
uint64_t ts_control_link_deadline_ms(const struct ts_control *c);

/* body: NULL for none. limit: bytes of the answer that are kept. 0 or a
 * negative errno (then done is not called). */
int ts_rpc_start(struct ts_control *c, struct ts_rpc *rpc, const char *method,
		 const char *path, const char *const lb[static TS_H2_LB_MAX],
		 const void *body, size_t body_len, size_t limit);
void ts_rpc_cancel(struct ts_control *c, struct ts_rpc *rpc);
/* The body as one line of text, at most 200 bytes. */
void ts_rpc_body_text(const struct ts_rpc *rpc, char out[static 208]);

void ts_login_init(struct ts_control *c);
void ts_login_deinit(struct ts_control *c);
/* Forget a pending visit: a new login starts. */
void ts_login_restart(struct ts_control *c);
/* Start to log out. */
void ts_login_leave(struct ts_control *c);
/* Is there a login, or a logout, to be got through? */
bool ts_login_is_wanted(const struct ts_control *c);
void ts_login_step(struct ts_control *c);
void ts_login_tick(struct ts_control *c);
void ts_login_link_lost(struct ts_control *c);
/* The server does not know our key: register before anything else. */
void ts_login_again(struct ts_control *c);
/* Log in under a new key beside the map; is_expired: because the present one
 * has run out. Ends when that turns out to be good for longer. */
void ts_login_renew(struct ts_control *c, bool is_expired);
void ts_login_not_expired(struct ts_control *c);
uint64_t ts_login_deadline_ms(const struct ts_control *c);

/* login_answer.c, and what it needs of control_login.c */
void ts_login_on_reply(struct ts_control *c, struct ts_rpc *rpc,
		       const char *error);
void ts_login_forget_followup(struct ts_control_login *login);
/* While the map is followed it says what state we are in. */
void ts_login_show_state(struct ts_control *c, enum ts_control_state state,
			 const char *error);
/* Out of the tailnet: the keys first, for they are what is stored. */
void ts_login_forget(struct ts_control *c, const char *error);

/* control_auth_key.c; 0, -EINVAL (none), -ENOMEM */
int ts_auth_key_set(struct ts_control *c, const char *auth_key, bool was_made);
/* Does the login have to wait for one? Then the owner was asked. */
bool ts_auth_key_is_awaited(struct ts_control *c);
/* The server took the login, or did not. */
void ts_auth_key_used(struct ts_control *c);
void ts_auth_key_refused(struct ts_control *c);

void ts_poll_step(struct ts_control *c);
void ts_poll_stop(struct ts_control *c);
/* We are out of the tailnet: the owner hears of the end of all peers. */
void ts_poll_forget_map(struct ts_control *c);
void ts_poll_tick(struct ts_control *c);
uint64_t ts_poll_deadline_ms(const struct ts_control *c);

/* Of us as we are now: heap text, NULL when out of memory. lb: our node key,
 * for the header that a load balancer reads. */
char *ts_update_map_request(const struct ts_control *c, bool is_stream,
			    char lb[static TS_KEY_TEXT_CAP]);
void ts_update_init(struct ts_control *c);
void ts_update_deinit(struct ts_control *c);
void ts_update_want(struct ts_control *c);
void ts_update_step(struct ts_control *c);
void ts_update_tick(struct ts_control *c);
void ts_update_link_lost(struct ts_control *c);
uint64_t ts_update_deadline_ms(const struct ts_control *c);

void ts_ping_deinit(struct ts_control *c);
void ts_ping_handle(struct ts_control *c, const struct ts_ping_request *ping);
void ts_ping_link_lost(struct ts_control *c);
/* A person is to visit url. */
void ts_ping_browse(struct ts_control *c, const char *url);
/* Answer to a request by POST over Noise to the URL's path. */
void ts_ping_post(struct ts_control *c, const char *url, const void *body,
		  size_t len);

void ts_request_deinit(struct ts_control *c);
void ts_request_link_lost(struct ts_control *c);
void ts_request_step(struct ts_control *c);
void ts_request_tick(struct ts_control *c);
uint64_t ts_request_deadline_ms(const struct ts_control *c);

#endif
