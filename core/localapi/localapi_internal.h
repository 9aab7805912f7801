/* SPDX-License-Identifier: BSD-3-Clause
 * localapi_internal.h - what the routes share
 */
#ifndef CORE_LOCALAPI_LOCALAPI_INTERNAL_H
#define CORE_LOCALAPI_LOCALAPI_INTERNAL_H

#include <jansson.h>

#include "core/localapi/bus.h"
#include "core/localapi/localapi.h"

struct pending_logout;
struct drop_wait;
struct file_put;

enum { LOCALAPI_AUTH_KEY_CAP = 1024 };

struct ts_localapi {
	struct ts_node *node;
	struct ts_localapi_env env;
	void *env_ctx;
	struct bus *bus;
	uint64_t now_ms; /* of the last call that told it */
	struct pending_logout *logouts; /* logout_route.c */
	struct drop_wait *drop_waits;	/* drop_routes.c */
	struct file_put *file_puts;	/* file_put_route.c */
	json_t *outgoing; /* [ipn.OutgoingFile]; NULL: none yet */
	/* login_routes.c: of the last start, for the login that follows it; in
	 * use: the node has begun to log in with it already. */
	char start_key[LOCALAPI_AUTH_KEY_CAP];
	bool key_is_in_use;
	uint64_t log_quota_ms; /* log_routes.c: whose lines those are */
	unsigned log_quota_used, log_readers;
	unsigned recordings; /* bugreport_route.c: that are under way */
	json_t *caller_metrics; /* caller_metrics.c: by name; NULL: none yet */
	struct localapi_move *move; /* login_routes.c: a start elsewhere */
};

struct localapi_call {
	struct ts_localapi *api;
	struct ts_node *node;
	const struct ts_localapi_request *request;
	uint64_t now_ms;
	int64_t now_unix;
	ts_localapi_done_fn done;
	void *ctx;
};

/* reply.c; those that get a body or a text own it from then on */
void localapi_reply_json(const struct localapi_call *call, int status,
			 json_t *body);
void localapi_reply_text(const struct localapi_call *call, int status,
			 const char *type, char *text);
/* The same, with 200 and a text that nobody keeps. */
void localapi_reply_secret(const struct localapi_call *call, const char *type,
			   char *text);
/* No content (204, 201, 200). */
void localapi_reply_empty(const struct localapi_call *call, int status);
/* One line of plain text: the request makes no sense. */
void localapi_reply_error(const struct localapi_call *call, int status,
			  const char *text);
/* 500 with {"error": "..."}: the request does, but it could not be served. */
void localapi_reply_failure(const struct localapi_call *call,
			    const char *text);
/* Of the query; NULL: not there. */
const char *localapi_query(const struct localapi_call *call, const char *name);
/* The body as an object, or NULL: answered with 400 already. */
json_t *localapi_body_object(const struct localapi_call *call);
/* 16 random bytes as 32 hex digits */
enum { LOCALAPI_SESSION_CAP = 33 };
void localapi_random_hex(char out[static LOCALAPI_SESSION_CAP]);

/* node_json.c */
json_t *localapi_time(int64_t unix_s); /* RFC 3339; 0: Go's zero time */
json_t *localapi_key(const struct ts_public_key *key, const char *prefix);
json_t *localapi_ips(const struct ts_peer *peer); /* ["100.64.0.1", ...] */
json_t *localapi_prefixes(const struct ts_prefix *prefixes, size_t count);
json_t *localapi_texts(char *const *texts, size_t count);
/* tailcfg.Node */
json_t *localapi_peer_node(const struct ts_netmap *map,
			   const struct ts_peer *peer);
/* ["cap", ...], sorted: the names of a CapMap */
json_t *localapi_cap_names(const json_t *cap_map);
json_t *localapi_user(const struct ts_user_profile *user);
/* To an object of users by their ID, once; nobody knows of an unknown one. */
void localapi_add_user(json_t *users, const struct ts_netmap *map, int64_t id);

/* status_json.c */
json_t *localapi_status(const struct localapi_call *call, bool with_peers);
/* health_json.c: health.State, the bus' form */
json_t *localapi_health_state(const struct ts_node *node);
/* netmap_json.c: netmap.NetworkMap with its peers, sorted by ID: O(N) */
json_t *localapi_netmap(const struct ts_node *node);
/* Another map, as if it were the node's. */
json_t *localapi_netmap_of(const struct ts_node *node,
			   const struct ts_netmap *map);
/* filter_rules_json.c: [tailcfg.FilterRule] */
json_t *localapi_filter_rules(const struct ts_netmap *map);
/* prefs_rules.c: why these preferences cannot be: one line in err, and false.
 * They may be completed (an empty control URL). */
bool localapi_prefs_are_possible(const struct ts_node *node,
				 struct ts_prefs *next,
				 char err[static 256]);
/* "": preferences may be changed here; else why not. */
const char *localapi_lock_reason(const struct ts_localapi *api);
/* Do they belong to another control server than the node's? */
bool localapi_prefs_move(const struct ts_node *node,
			 const struct ts_prefs *next);
/* They do not; or false, and why they have to, in err. */
bool localapi_prefs_stay_here(const struct ts_node *node,
			      const struct ts_prefs *next,
			      char err[static 256]);
/* logout_route.c */
void localapi_logouts_settle(struct ts_localapi *api, uint64_t now_ms);
void localapi_logouts_end(struct ts_localapi *api);
uint64_t localapi_logouts_deadline_ms(const struct ts_localapi *api);

/* The routes, by file. */
/* whois_routes.c */
void localapi_whois(const struct localapi_call *call);
void localapi_peer_by_id(const struct localapi_call *call);
void localapi_user_profile(const struct localapi_call *call);
/* prefs_routes.c */
void localapi_get_prefs(const struct localapi_call *call);
void localapi_patch_prefs(const struct localapi_call *call);
void localapi_check_prefs(const struct localapi_call *call);
/* login_routes.c */
void localapi_start(const struct localapi_call *call);
void localapi_login_interactive(const struct localapi_call *call);
void localapi_forget_key(struct ts_localapi *api);
/* The node is that of the start which is waiting, if one is; or, with a
 * problem, it is not, and will not be. */
void localapi_move_done(struct ts_localapi *api, const char *problem);
/* logout_route.c */
void localapi_logout(const struct localapi_call *call);
/* profile_routes.c */
void localapi_profiles(const struct localapi_call *call);
/* watch_route.c */
void localapi_watch_ipn_bus(const struct localapi_call *call);
/* serve_routes.c */
void localapi_get_serve_config(const struct localapi_call *call);
void localapi_post_serve_config(const struct localapi_call *call);
/* The watcher has gone. */
void localapi_serve_session_gone(struct ts_localapi *api, const char *session,
				 uint64_t now_ms);
/* debug_routes.c */
void localapi_debug(const struct localapi_call *call);
void localapi_rotate_disco_key(const struct localapi_call *call);
void localapi_debug_filter_rules(const struct localapi_call *call);
/* filter_matches_json.c: [filtertype.Match] */
json_t *localapi_filter_matches(const struct ts_netmap *map);
void localapi_debug_filter_matches(const struct localapi_call *call);
/* derp_debug_route.c */
void localapi_derp_region(const struct localapi_call *call);
/* path_debug_routes.c */
void localapi_peer_endpoint_changes(const struct localapi_call *call);
/* check_routes.c */
void localapi_check_ip_forwarding(const struct localapi_call *call);
void localapi_check_udp_gro(const struct localapi_call *call);
void localapi_check_so_mark(const struct localapi_call *call);
void localapi_services(const struct localapi_call *call);
/* admin_routes.c */
void localapi_disconnect_control(const struct localapi_call *call);
void localapi_reset_auth(const struct localapi_call *call);
void localapi_reload_config(const struct localapi_call *call);
void localapi_set_state_store(const struct localapi_call *call);
void localapi_use_exit_node(const struct localapi_call *call);
void localapi_shutdown(const struct localapi_call *call);
void localapi_update_check(const struct localapi_call *call);
void localapi_update_install(const struct localapi_call *call);
void localapi_update_progress(const struct localapi_call *call);
void localapi_set_gui_visible(const struct localapi_call *call);
void localapi_policy(const struct localapi_call *call);
void localapi_appc_route_info(const struct localapi_call *call);
void localapi_peer_relay_sessions(const struct localapi_call *call);
void localapi_event_bus(const struct localapi_call *call);
void localapi_pprof(const struct localapi_call *call);
/* bugreport_route.c */
void localapi_bugreport(const struct localapi_call *call);
/* cert_routes.c */
void localapi_cert(const struct localapi_call *call);
void localapi_cert_domains(const struct localapi_call *call);
void localapi_set_dns(const struct localapi_call *call);
/* log_routes.c */
void localapi_log_tap(const struct localapi_call *call);
void localapi_component_logging(const struct localapi_call *call);
void localapi_debug_log(const struct localapi_call *call);
void localapi_threads(const struct localapi_call *call);
/* Of lines that any local user may cause: so many a second. */
bool localapi_may_log(struct ts_localapi *api, uint64_t now_ms);
/* As env->log_component; in err why not. env NULL: there is none. */
int localapi_show_component(const struct ts_localapi_env *env, void *env_ctx,
			    const char *component, int64_t secs,
			    char err[static 128]);
/* control_routes.c */
void localapi_query_feature(const struct localapi_call *call);
void localapi_set_device_attrs(const struct localapi_call *call);
void localapi_id_token(const struct localapi_call *call);
void localapi_set_expiry_sooner(const struct localapi_call *call);
/* dial_route.c */
void localapi_dial(const struct localapi_call *call);
/* exit_node_routes.c */
bool localapi_is_exit_node(const struct localapi_call *call,
			   const struct ts_peer *peer);
/* NULL: none is used. */
json_t *localapi_exit_node_status(const struct localapi_call *call);
void localapi_suggest_exit_node(const struct localapi_call *call);
/* ping_route.c */
void localapi_ping(const struct localapi_call *call);
/* dns_routes.c */
void localapi_dns_query(const struct localapi_call *call);
void localapi_dns_config(const struct localapi_call *call);
void localapi_dns_osconfig(const struct localapi_call *call);
/* tka_routes.c */
void localapi_tka_status(const struct localapi_call *call);
void localapi_tka_log(const struct localapi_call *call);
void localapi_tka_verify_link(const struct localapi_call *call);
/* tka_admin_routes.c */
void localapi_tka_sign(const struct localapi_call *call);
void localapi_tka_modify(const struct localapi_call *call);
void localapi_tka_init(const struct localapi_call *call);
void localapi_tka_disable(const struct localapi_call *call);
void localapi_tka_local_disable(const struct localapi_call *call);
void localapi_tka_wrap(const struct localapi_call *call);
void localapi_tka_affected(const struct localapi_call *call);
void localapi_tka_recover(const struct localapi_call *call);
void localapi_tka_cosign(const struct localapi_call *call);
void localapi_tka_submit(const struct localapi_call *call);
/* netcheck_route.c */
void localapi_netcheck(const struct localapi_call *call);
/* metrics_routes.c */
void localapi_user_metrics(const struct localapi_call *call);
void localapi_client_metrics(const struct localapi_call *call);
/* portmap_route.c */
void localapi_debug_portmap(const struct localapi_call *call);
/* caller_metrics.c */
void localapi_upload_metrics(const struct localapi_call *call);
void localapi_push_message(const struct localapi_call *call);
/* Prometheus' text; heap, NULL: out of memory. */
char *localapi_caller_metrics(const struct ts_localapi *api);
/* drop_routes.c */
void localapi_files(const struct localapi_call *call);
void localapi_file_targets(const struct localapi_call *call);
/* Why no files can be sent at all, or NULL. */
const char *localapi_drop_obstacle(const struct ts_node *node);
void localapi_drops_changed(struct ts_localapi *api);
void localapi_drops_tick(struct ts_localapi *api, uint64_t now_ms);
void localapi_drops_end(struct ts_localapi *api);
uint64_t localapi_drops_deadline_ms(const struct ts_localapi *api);
/* file_put_route.c */
struct ts_localapi_upload *localapi_file_put(const struct localapi_call *call);
void localapi_file_puts_end(struct ts_localapi *api);
/* capture_route.c */
void localapi_capture(const struct localapi_call *call);

#endif
