/* SPDX-License-Identifier: BSD-3-Clause
 * engine_internal.h - the one struct of core/engine
 */
#ifndef CORE_ENGINE_ENGINE_INTERNAL_H
#define CORE_ENGINE_ENGINE_INTERNAL_H

#include "core/drop/drop_box.h"
#include "core/engine/engine.h"
#include "core/engine/log_tap.h"
#include "core/engine/state_store.h"
#include "core/io/http_client.h"
#include "core/io/link.h"
#include "core/io/net_monitor.h"
#include "core/io/port_mapper.h"
#include "core/io/resolver.h"
#include "core/io/udp_port.h"
#include "core/state/state_file.h"

enum { ENGINE_DIR_CAP = 224, ENGINE_PATH_CAP = 256, ENGINE_LOG_ID_CAP = 65 };

struct auth_source;  /* auth_source.h */
struct certs;	     /* certs.h */
struct local_server; /* local_server.h */
struct metrics_server; /* local_server_metrics.h */
struct local_dial;   /* local_dial.c */
struct local_name;
struct ts_localapi;
struct next_login;   /* node_switch.c */

/* Where the node's secrets and sockets live. */
struct profile_store {
	struct ts_state *state;
	struct state_store *kept;
	bool is_leaving; /* for another profile: the node is the old one's */
	struct next_login *next; /* what that begins with, or NULL */
	char *log_id_path;  /* NULL: in memory only */
	int lock_fd;	    /* -1: none */
	char dir[ENGINE_DIR_CAP];	 /* of the sockets */
	bool dir_is_ours;		 /* made here, removed at close */
	char backend_log_id[ENGINE_LOG_ID_CAP];
};

/* One DERP region's stream. */
struct derp_stream {
	struct ts_engine *engine;
	int region;
	struct ts_link *link;
	struct derp_stream *next;
};

struct derp_probe;    /* derp_latency.c */
struct derp_report;   /* derp_report.c */
struct portmap_report; /* portmap_report.c */
struct derp_question; /* derp_resolve.c */

enum engine_phase { ENGINE_UP, ENGINE_DRAINING, ENGINE_LOGGING_OUT,
		    ENGINE_UNMAPPING, ENGINE_SAVING, ENGINE_ENDED };

/* One node. The first of several owns what all have: loop, resolver and host;
 * the others have the same pointers. */
struct ts_engine {
	struct ts_engine *first; /* itself, when it is */
	struct ts_engine *next;  /* of the others; NULL: no more */
	struct ts_config config;
	struct profile_store store;
	struct ts_loop *loop;
	struct ts_timer *node_timer, *stop_timer;
	struct ts_resolver *resolver;
	struct ts_http_client *http;
	struct auth_source *auth;
	struct certs *certs;
	struct x509_store_st *backend_roots; /* serve_tls.c; NULL: not read */
	uint64_t backend_roots_ms;	     /* until then they are kept */
	struct ts_http_request *key_request;
	struct ts_http_request *head_request; /* of a ping; NULL: none */
	struct ts_link *control_link;
	struct derp_stream *derps;
	struct derp_probe *derp_probes;
	struct derp_question *derp_questions;
	struct ts_udp_port *udp;
	bool has_random_port; /* the tailnet's wish, against config.port */
	struct ts_net_monitor *monitor; /* the first's */
	struct ts_port_mapper *mapper; /* NULL: switched off */
	uint16_t mapper_port;	       /* as it was told */
	struct ts_node *node;
	struct ts_host *host;
	struct ts_member *member; /* the node, as the host has it */
	struct ts_localapi *localapi;
	struct ts_timer *localapi_timer;
	struct ts_timer *component_timer;
	uint64_t component_until_ms[LOG_COMPONENTS]; /* 0: not shown */
	struct ts_timer *expiry_timer; /* login_notice.c */
	int64_t expiry_watched;	       /* of our key; 0: none */
	struct local_dial *local_dials;
	struct local_name *local_names; /* local_dial.c */
	struct local_server *local;
	struct ts_drop_box *drop_box; /* drop_place.c */
	struct derp_report *derp_reports;
	struct portmap_report *portmap_report;
	struct metrics_server *metrics; /* NULL: nobody asked for it */
	bool has_proxy_file; /* proxy_port.c's */
	enum ts_engine_place place;
	enum engine_phase phase;
	uint64_t phase_end_ms, linger_end_ms;
	char socket_path[ENGINE_PATH_CAP];   /* broker */
	char abstract_name[64];		     /* broker */
	char localapi_path[ENGINE_PATH_CAP];
	char tka_profile[TS_PROFILE_ID_CAP]; /* whose chain the node has */
	/* Told about state changes: tsrun's --wait, tsnet_up(). */
	ts_engine_state_fn state_fn;
	void *state_ctx;
};

/* The clock that the node is told. */
static inline uint64_t engine_now_ms(const struct ts_engine *engine)
{
	return ts_loop_now_ms(engine->loop);
}

/* node_io.c */
extern const struct ts_node_io engine_node_io;
void engine_io_close(struct ts_engine *engine);
void engine_publish_endpoints(struct ts_engine *engine);
void engine_on_udp_refused(void *ctx, const struct ts_addr *to);
void engine_on_udp(void *ctx, const struct ts_addr *from,
		   struct ts_packet *pkt);
void engine_on_udp_reuse(void *ctx);

/* As in ts_node_io; ctx: the engine. */
uint64_t engine_monotonic_us(void *ctx);

/* derp_stream.c: as in ts_node_io; ctx: the engine */
void engine_derp_open(void *ctx, int region, const struct ts_derp_node *node);
void engine_derp_write(void *ctx, int region, const uint8_t *data, size_t len);
void engine_derp_close(void *ctx, int region);
size_t engine_derp_queued(void *ctx, int region);
/* How a DERP node is called; room for what lc points to is the node's. */
void engine_derp_link(const struct ts_derp_node *node,
		      struct ts_link_config *lc);
/* The network changed: what hangs at an address that has gone is closed. */
void engine_leave_stranded(struct ts_engine *engine);
/* All of them; the node opens them anew. */
void engine_break_derps(struct ts_engine *engine);
/* The same at the end, without a word to the node. */
void engine_close_derps(struct ts_engine *engine);

/* derp_latency.c: as in ts_node_io */
void engine_derp_latency(void *ctx, int region,
			 const struct ts_derp_node *node);
void engine_derp_latency_cancel(void *ctx);

/* derp_resolve.c: as in ts_node_io */
void engine_derp_resolve(void *ctx, const char *host);
void engine_derp_resolve_cancel(struct ts_engine *engine);

/* udp_attributes.c; ctx: the engine */
void engine_follow_udp_attributes(void *ctx);
/* dns_doh.c; ctx: the engine */
extern const struct ts_doh_ops engine_doh_ops;
extern const struct ts_http_tunnel engine_doh_tunnel;

/* serve_tls.c */
extern const struct ts_tls_client_ops engine_tls_client_ops;

/* port_mapping.c */
int engine_open_mapper(struct ts_engine *engine);
/* The network or our UDP port may have changed. */
void engine_update_mapper(struct ts_engine *engine);
/* The netmap's word about us may have; posted, as it may ask the node for
 * changes. ctx: the engine. */
void engine_follow_mapper_attrs(void *ctx);
/* At the end: gives the mapping back, within a second. */
void engine_release_mapper(struct ts_engine *engine);
bool engine_is_unmapped(const struct ts_engine *engine);

/* tka_store.c: Tailnet Lock's chain as it is stored, or empty. NULL: out of
 * memory. */
struct ts_tka_chonk *engine_open_tka(struct ts_engine *engine,
				     bool *is_damaged);
/* After the profile was stored: another one has another chain. ctx: the
 * engine. */
void engine_follow_tka_profile(void *ctx);
/* local_env.c; closing is fine when nothing is open */
/* All of it but the state's place; ctx: the engine. */
extern const struct ts_localapi_env engine_localapi_env;
int engine_open_localapi(struct ts_engine *engine, char err[static 256]);
void engine_close_localapi(struct ts_engine *engine);
/* As in ts_node_io; ctx: the engine. */
void engine_prefs_changed(void *ctx, bool is_login);
void engine_peer_changed(void *ctx, const struct ts_peer *peer);
void engine_peer_removed(void *ctx, const struct ts_peer *peer);

/* serve_store.c: what this profile serves, into the node, which is new */
void engine_load_serve(struct ts_engine *engine, struct ts_node *node);

/* proxy_port.c */
/* proxy_listen's, if there is one, and the file that tells its password. 0, or
 * -errno with err. */
int engine_open_proxy_port(struct ts_engine *engine, char err[static 256]);
void engine_close_proxy_port(struct ts_engine *engine);

/* profile_store.c */
/* Locks and loads; prefs, which is initialised, gets the stored keys and this
 * start's settings. */
int profile_store_open(struct profile_store *store, struct ts_config *config,
		       struct ts_loop *loop, struct ts_http_client *http,
		       struct ts_private_key *machine_key,
		       struct ts_prefs *prefs, char err[static 256]);
/* Keeps the profile, if there is a place to keep it in. */
void profile_store_save(struct profile_store *store,
			const struct ts_node *node);
void profile_store_close(struct profile_store *store);
/* This start's settings in place of all but the keys. 0 or -ENOMEM. */
int profile_store_start_prefs(struct ts_prefs *prefs,
			      const struct ts_config *config);
/* Makes the keys that a profile has before its first login. */
void profile_store_complete(struct ts_prefs *prefs);

/* log_component.c: as in struct ts_localapi_env; ctx: the engine. */
int engine_log_component(void *ctx, const char *component, int64_t secs);
void engine_log_components_end(struct ts_engine *engine);
/* posture.c: the same */
json_t *engine_posture(void *ctx, bool with_addresses);
/* thread_report.c: the same */
char *engine_thread_report(void *ctx);
/* config_reload.c: as in struct ts_localapi_env; ctx: the engine. */
int engine_reload_config(void *ctx, char err[static 256]);
/* node_switch.c: what waits to begin is forgotten. */
void profile_store_forget_next(struct profile_store *store);

/* node_make.c */
/* With these keys, which are moved; NULL: out of memory. */
struct ts_node *engine_make_node(struct ts_engine *engine,
				 const struct ts_private_key *machine_key,
				 struct ts_prefs *prefs, const char *auth_key);

#endif
