/* SPDX-License-Identifier: BSD-3-Clause
 * control_client.h - log in to a control server and follow its map
 *
 * Sans-IO: the owner does what the ops ask for and reports back with the
 * functions below; nothing here blocks, reads a clock or opens a socket.
 *
 *   start -> fetch_key -> dial -> (HTTP upgrade, Noise, HTTP/2) -> register
 *         -> [AuthURL: follow up] -> map poll (stream) + lite updates
 *
 * Any failure is logged once with its reason, then retried after n^2 * 10 ms
 * (cap 30 s, jitter 0.5-1.5; n starts over once a map stream has lived for
 * 10 s). A stream without a message for 120 s is cut.
 * From within an op only the setters and getters may be called, besides the
 * reports that answer fetch_key and dial; never ts_control_input() or _free().
 * After any call the owner asks for the deadline anew.
 * Source: control/controlclient/{auto,direct,map}.go, control/ts2021
 */
#ifndef CORE_CONTROL_CONTROL_CLIENT_H
#define CORE_CONTROL_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/control/c2n.h"
#include "core/crypto/keys.h"
#include "core/model/netmap.h"

enum { TS_CAPABILITY_VERSION = 145 };

enum ts_control_state {
	TS_CONTROL_STOPPED,
	TS_CONTROL_CONNECTING,	/* key fetch, dial, upgrade */
	TS_CONTROL_REGISTERING,
	TS_CONTROL_NEEDS_LOGIN, /* waiting for a person at auth_url */
	TS_CONTROL_STARTING_MAP,
	TS_CONTROL_RUNNING,	/* a map stream is up */
	TS_CONTROL_FAILED,	/* refused by the server: see error text */
	TS_CONTROL_LOGGED_OUT,
};

/* One byte stream to dial: the owner races them, each started after its
 * delay; the first to connect wins. TLS here is unverified on purpose: Noise
 * authenticates (PROTOCOL 2.2), errors are only logged. */
struct ts_control_target {
	bool tls;
	char host[256];
	uint16_t port;
	unsigned delay_ms;
};

struct ts_control_ops {
	/* GET url over verified TLS (or http), body cap 64 KiB; answer with
	 * ts_control_key_fetched(). */
	void (*fetch_key)(void *ctx, const char *url);
	/* Open a stream; answer with ts_control_connected() or
	 * ts_control_closed(). */
	void (*dial)(void *ctx, const struct ts_control_target *targets,
		     size_t count);
	void (*write)(void *ctx, const uint8_t *data, size_t len);
	/* Drop the stream (or the dial under way); no callback follows. */
	void (*hangup)(void *ctx);

	void (*state_changed)(void *ctx, enum ts_control_state state,
			      const char *error); /* error: or NULL */
	void (*auth_url)(void *ctx, const char *url);
	/* A login needs an auth key and there is none (mints_auth_key): answer
	 * with ts_control_auth_key_made() or ts_control_auth_key_failed(). */
	void (*want_auth_key)(void *ctx);
	/* The keys that are to be stored: after a successful register. */
	void (*persist_changed)(void *ctx);
	/* A peer was added or changed / is about to be freed. */
	void (*peer_upserted)(void *ctx, struct ts_peer *peer);
	void (*peer_removed)(void *ctx, struct ts_peer *peer);
	/* Everything of one message is applied; bits of ts_netmap_change. */
	void (*netmap_changed)(void *ctx, unsigned changes);
	/* Monotonic-independent time for expiry: seconds since 1970. */
	int64_t (*wall_clock)(void *ctx);
	/* Tailnet Lock's signature of a node key that is to be registered, for
	 * the present one's signature (base64), or, when that is NULL, by a
	 * wrapped auth key. Heap base64, or NULL: cannot be made. */
	char *(*sign_node_key)(void *ctx, const struct ts_public_key *key,
			       const char *old_signature,
			       const char *auth_key);
	/* A ping request with explicit types arrived (may be NULL). types "":
	 * HEAD that URL by ordinary HTTP, the answer does not matter. */
	void (*ping_request)(void *ctx, const char *url, const char *types,
			     const struct ts_ip *ip);
	/* What the server asks of us by HTTP; NULL: nothing is answered. */
	ts_c2n_fn c2n;
	/* A person is to visit url, each one once. May be NULL. */
	void (*browse)(void *ctx, const char *url);
};

struct ts_control_config {
	const char *control_url;
	struct ts_private_key machine_key;
	struct ts_private_key node_key;	    /* zero: none yet */
	struct ts_private_key old_node_key; /* zero: none */
	struct ts_nl_private_key nl_key;
	struct ts_public_key disco_key;
	const char *auth_key; /* NULL: interactive login */
	bool mints_auth_key; /* no auth_key: the owner gets one for a login */
	const char *backend_log_id; /* 64 hex */
	const char *hostname;
	const char *os_version, *machine_arch, *app, *ipn_version;
	const char *distro, *distro_version; /* or NULL */
	bool container;
	bool ephemeral, force_login, shields_up;
	const char *const *tags;
	size_t tag_count;
	/* What we offer to route for others (Hostinfo.RoutableIPs). */
	const struct ts_prefix *routes;
	size_t route_count;
};

/* What the node serves by itself, as far as the server wants to know
 * (Hostinfo). */
struct ts_control_serve {
	bool ingress_enabled; /* Funnel is on for some port */
	bool wire_ingress;    /* it is off, and may be on soon */
	char services_hash[65]; /* of the services it hosts; "": none */
};

struct ts_control;

/* Copies the configuration. NULL when out of memory or when control_url is no
 * http or https URL. */
struct ts_control *ts_control_new(const struct ts_control_config *config,
				  const struct ts_control_ops *ops, void *ctx);
void ts_control_free(struct ts_control *c);
void ts_control_start(struct ts_control *c, uint64_t now_ms);
/* Leave the server alone until the next start; no news from it, either. */
void ts_control_stop(struct ts_control *c, uint64_t now_ms);
/* Leave it alone, too, but nothing else ends: as when it is out of reach. Until
 * the next start or login. */
void ts_control_disconnect(struct ts_control *c, uint64_t now_ms);
/* Register with the past expiry (3.2), then forget our keys and the tailnet:
 * state_changed(LOGGED_OUT), with an error when the server could not be told
 * within 15 s or did not agree. */
void ts_control_logout(struct ts_control *c, uint64_t now_ms);
/* Have a person log in at an address that auth_url() tells, without the auth
 * key. What runs goes on until the login has come through. */
void ts_control_login_interactive(struct ts_control *c, uint64_t now_ms);
/* Log in with this auth key (copied). with_new_key: also a node that the server
 * knows, which runs on until that has come through; else such a node keeps the
 * key for when the server asks. 0, -EINVAL (no key), -ENOMEM. */
int ts_control_login(struct ts_control *c, const char *auth_key,
		     bool with_new_key, uint64_t now_ms);
/* Answers to want_auth_key(): a key that is good for one login (copied); or
 * why there is none yet, refused or out of reach. After the latter a key is
 * still waited for. */
void ts_control_auth_key_made(struct ts_control *c, const char *auth_key,
			      uint64_t now_ms);
void ts_control_auth_key_failed(struct ts_control *c, const char *error,
				bool is_refused, uint64_t now_ms);

void ts_control_key_fetched(struct ts_control *c, int http_status,
			    const char *body, size_t len, const char *error,
			    uint64_t now_ms);
void ts_control_connected(struct ts_control *c, uint64_t now_ms);
void ts_control_input(struct ts_control *c, const uint8_t *data, size_t len,
		      uint64_t now_ms);
/* error: one line why, or NULL for an orderly end. */
void ts_control_closed(struct ts_control *c, const char *error,
		       uint64_t now_ms);
uint64_t ts_control_deadline_ms(const struct ts_control *c);
void ts_control_tick(struct ts_control *c, uint64_t now_ms);
/* The network changed: drop the stream and dial again now. */
void ts_control_network_changed(struct ts_control *c, uint64_t now_ms);

/* What we publish; a change sends one lite update (coalesced). */
void ts_control_set_endpoints(struct ts_control *c,
			      const struct ts_addr *endpoints,
			      const int *types, size_t count, uint64_t now_ms);
struct ts_derp_latency {
	int region;
	bool v6;
	uint32_t us;
};
enum { TS_DERP_LATENCIES_MAX = 64 };
struct ts_net_info {
	int preferred_derp;
	enum ts_tristate mapping_varies, working_udp, working_ipv6, os_has_ipv6;
	enum ts_tristate upnp, pmp, pcp; /* what the gateway speaks */
	bool has_port_mapping;
	/* No reason for an update by themselves: they change all the time. */
	struct ts_derp_latency latencies[TS_DERP_LATENCIES_MAX];
	size_t latency_count;
};
void ts_control_set_net_info(struct ts_control *c,
			     const struct ts_net_info *info, uint64_t now_ms);
void ts_control_set_routes(struct ts_control *c, const struct ts_prefix *routes,
			   size_t count, uint64_t now_ms);
void ts_control_set_peerapi(struct ts_control *c, uint16_t port4,
			    uint16_t port6, uint64_t now_ms);

/* The user's changes: the server hears of them; new tags by registering again.
 * 0 or -ENOMEM (then nothing has changed). */
int ts_control_set_hostname(struct ts_control *c, const char *hostname,
			    uint64_t now_ms);
void ts_control_set_shields_up(struct ts_control *c, bool shields_up,
			       uint64_t now_ms);
void ts_control_set_serve(struct ts_control *c,
			  const struct ts_control_serve *serve,
			  uint64_t now_ms);
int ts_control_set_tags(struct ts_control *c, char *const *tags, size_t count,
			uint64_t now_ms);

void ts_control_set_disco_key(struct ts_control *c,
			      const struct ts_public_key *disco_key,
			      uint64_t now_ms);

/* POST over the link to the URL's path: the answer to a ping request. Dropped
 * when the link is down. */
void ts_control_post(struct ts_control *c, const char *url, const void *body,
		     size_t len, uint64_t now_ms);

/* The head of Tailnet Lock's chain as we know it; "": off. */
void ts_control_set_tka_head(struct ts_control *c, const char *head,
			     uint64_t now_ms);

/* A request to the server in the name of another, with a JSON body. fn is
 * called once, later: status 0 with an error of one line, or the server's
 * answer. 0, -ENETDOWN (no link, no login), -EAGAIN (too many), -ENOMEM: then
 * fn is not called. From within an op it goes out once that has returned. */
typedef void (*ts_control_reply_fn)(void *ctx, int status, const void *body,
				    size_t len, const char *error);
struct ts_control_ask {
	const char *method; /* static */
	const char *path, *body; /* copied; the copy is wiped */
	size_t reply_max;
	uint64_t timeout_ms;
};
int ts_control_ask(struct ts_control *c, const struct ts_control_ask *ask,
		   ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms);
/* By POST, of usual size and time. */
int ts_control_request(struct ts_control *c, const char *path,
		       const char *body, ts_control_reply_fn fn, void *fn_ctx,
		       uint64_t now_ms);
/* Ask for our node key to expire then: the answer is a RegisterResponse. */
int ts_control_expire_at(struct ts_control *c, int64_t expiry_unix,
			 ts_control_reply_fn fn, void *fn_ctx,
			 uint64_t now_ms);

enum ts_control_state ts_control_state(const struct ts_control *c);
const struct ts_netmap *ts_control_netmap(const struct ts_control *c);
/* Current keys and profile, for the state file. The strings stay ours. */
struct ts_control_identity {
	struct ts_private_key node_key, old_node_key;
	struct ts_nl_private_key nl_key;
	const char *stable_id; /* from the self node, or NULL */
	int64_t user_id;
	const char *login_name, *display_name, *profile_pic_url;
};
void ts_control_identity(const struct ts_control *c,
			 struct ts_control_identity *out);

#endif
