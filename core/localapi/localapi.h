/* SPDX-License-Identifier: BSD-3-Clause
 * localapi.h - answers to the tailscale CLI, without the socket
 *
 * A request in, a status and a body out, once; or a stream of news that ends
 * when its reader goes. core/engine/local_server puts it on a Unix socket;
 * core/localapi never sees one.
 * Source: ipn/localapi/, ipn/ipnstate/ipnstate.go; PROTOCOL 17
 */
#ifndef CORE_LOCALAPI_LOCALAPI_H
#define CORE_LOCALAPI_LOCALAPI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/log.h"
#include "core/loop/loop.h"
#include "core/node/node.h"
#include "core/serve/serve_config.h"

enum { TS_LOCALAPI_ETAG_CAP = 65 };

struct ts_localapi; /* of one node */
struct ts_drop_box; /* core/drop/drop_box.h */

/* Who reads the log as it is written, on the loop's thread. line() must not
 * log. */
struct ts_log_tap {
	void (*line)(struct ts_log_tap *tap, enum ts_log_level level,
		     const char *line);
	struct ts_log_tap *next; /* the list's */
};

/* err 0: fd is connected, and the callee's. Once, perhaps at once. */
typedef void (*ts_localapi_dialled_fn)(void *done_ctx, int err, int fd);

/* A certificate, or error. Once, not inside. */
struct ts_localapi_cert {
	const char *key_pem, *chain_pem;
	const char *error; /* NULL: there it is */
	bool is_limited;   /* the CA has had too many questions */
	int64_t retry_after_s; /* 0: unknown */
};
typedef void (*ts_localapi_cert_fn)(void *done_ctx,
				    const struct ts_localapi_cert *cert);
/* count 0: there is no such name. Once, perhaps at once. */
typedef void (*ts_localapi_resolved_fn)(void *done_ctx, const struct ts_ip *ips,
					size_t count);

struct ts_localapi_portmap {
	struct ts_ip gateway, own; /* ::: found out */
	int kind;		   /* an enum ts_portmap_kind; -1: any */
	unsigned duration_s;
};

/* What only the engine can do. An op that is NULL is not served, and the
 * caller is told so. err gets one line. */
struct ts_localapi_env {
	const char *state_dir; /* NULL: the state is in memory */
	bool is_locked; /* preferences are the configuration's alone */
	/* LoginProfiles; NULL: out of memory */
	json_t *(*profiles)(void *ctx);
	json_t *(*current_profile)(void *ctx);
	int (*profile_switch)(void *ctx, const char *id, char err[static 256]);
	int (*profile_new)(void *ctx, char err[static 256]);
	int (*profile_delete)(void *ctx, const char *id, char err[static 256]);
	/* Go on as a profile that has yet to log in with these preferences,
	 * which are moved, at their control server: with this auth key, or
	 * (NULL) as a person says. ts_localapi_set_node() follows, or
	 * ts_localapi_node_stays(). */
	int (*log_in_elsewhere)(void *ctx, struct ts_prefs *prefs,
				const char *auth_key, char err[static 256]);
	/* One entry of the state; load: heap text or NULL. */
	char *(*load)(void *ctx, const char *key);
	int (*store)(void *ctx, const char *key, const char *text);
	/* Forget all profiles and the machine's key. */
	int (*reset_auth)(void *ctx, char err[static 256]);
	/* Read tsnet.conf again. 0 with what takes a new start in err, or "";
	 * -ENOSYS: this node was not configured by it; else err says why. */
	int (*reload_config)(void *ctx, char err[static 256]);
	/* All lines of the log, whatever its level, until it is untapped. */
	void (*log_tap)(void *ctx, struct ts_log_tap *tap);
	void (*log_untap)(void *ctx, struct ts_log_tap *tap);
	/* That component's lines are shown down to debug for so long; not any
	 * more: secs <= 0. 0 or -ENOENT: there is no such component. */
	int (*log_component)(void *ctx, const char *component, int64_t secs);
	/* C2NPostureIdentityResponse: which machine it is; NULL: no memory */
	json_t *(*posture)(void *ctx, bool with_addresses);
	/* What the process is made of, as text; heap, NULL: no memory. */
	char *(*threads)(void *ctx);
	/* Debug actions: another UDP port; all relays' streams anew. */
	int (*rebind)(void *ctx);
	void (*break_derps)(void *ctx);
	struct ts_loop *loop;
	struct ts_drop_box *drop_box; /* for peers' files; NULL: none */
	/* Tries a DERP region's nodes, for some seconds. report, which is the
	 * callee's until done(), gets lines in "Info", "Warnings", "Errors". */
	void (*derp_report)(void *ctx, const struct ts_derp_region *region,
			    json_t *report,
			    void (*done)(void *done_ctx, json_t *report),
			    void *done_ctx);
	/* Asks a gateway for a port, and gives it back. line() gets what comes
	 * of it, and NULL last, which is not inside. 0, -EBUSY, -ENOMEM. */
	int (*portmap)(void *ctx, const struct ts_localapi_portmap *wish,
		       void (*line)(void *line_ctx, const char *text),
		       void *line_ctx);
	/* Nobody listens any more; no line() follows. */
	void (*portmap_leave)(void *ctx);
	/* A connection to an address of the tailnet's. */
	void (*dial)(void *ctx, const struct ts_addr *to,
		     ts_localapi_dialled_fn done, void *done_ctx);
	/* This node's TLS certificate for a name, valid for that long. */
	void (*cert)(void *ctx, const char *domain, int64_t min_validity_s,
		     ts_localapi_cert_fn done, void *done_ctx);
	/* tailcfg.C2NTLSCertInfo; NULL: out of memory */
	json_t *(*cert_status)(void *ctx, const char *domain);
	/* A name's addresses, as this machine knows them. */
	void (*resolve)(void *ctx, const char *name,
			ts_localapi_resolved_fn done, void *done_ctx);
};

struct ts_localapi_request {
	const char *method; /* "GET", ... */
	const char *path;   /* "/localapi/v0/status", without the query */
	/* Value of a query parameter, or NULL. */
	const char *(*query)(void *query_ctx, const char *name);
	/* Value of a header, or NULL. */
	const char *(*header)(void *query_ctx, const char *name);
	void *query_ctx;
	const char *body;
	size_t body_len;
	/* By the peer's credentials; owner: root, or whom the node runs as. */
	bool may_write, is_owner;
	bool may_have_certs; /* though it may not write */
};

/* A reply without an end of its own. The route makes it; it lives until
 * close(). All on the loop's thread. */
struct ts_localapi_stream {
	/* Up to cap bytes into out: how many; 0: none at the moment, wake()
	 * will be called; -1: it ends here. */
	ssize_t (*read)(void *ctx, char *out, size_t cap);
	/* The reader has gone, or has read the end. Once. */
	void (*close)(void *ctx);
	void *ctx;
	/* The server's: there is something to read, or the end. */
	void (*wake)(void *wake_ctx);
	void *wake_ctx;
};

/* A body that is taken as it comes. The route makes it; it lives until
 * close(), be the request answered or not. */
struct ts_localapi_upload {
	/* How many bytes were taken: fewer than len, then wake() follows. */
	size_t (*write)(void *ctx, const char *data, size_t len);
	void (*end)(void *ctx); /* that was all of it */
	/* The request is over: answered, or its caller has gone. Once. */
	void (*close)(void *ctx);
	void *ctx;
	/* The server's. */
	void (*wake)(void *wake_ctx);
	void *wake_ctx;
};

struct ts_localapi_reply {
	int status;
	const char *content_type; /* static, or NULL: no body */
	char *body;		  /* heap: whoever gets the reply frees it */
	size_t body_len;
	bool is_secret; /* ... and wipes it */
	int64_t retry_after_s; /* 0: nothing is said of it */
	char etag[TS_LOCALAPI_ETAG_CAP]; /* "": none */
	struct ts_localapi_stream *stream; /* in place of a body, or NULL */
	/* The connection goes on as that of fd, which goes with the reply. */
	bool has_fd;
	int fd;
	/* ... or fd is a file that is the body, of so many bytes. */
	bool is_file;
	uint64_t file_len;
	char dial_self[TS_ADDR_TEXT_CAP]; /* where the caller is to dial */
};
/* Called exactly once per request, inside ts_localapi_handle() or later on
 * the same thread (ping). */
typedef void (*ts_localapi_done_fn)(void *ctx,
				    const struct ts_localapi_reply *reply);

/* env is copied, its texts are not. NULL: out of memory. */
struct ts_localapi *ts_localapi_new(struct ts_node *node,
				    const struct ts_localapi_env *env,
				    void *env_ctx);
/* Requests that wait are answered, streams end. */
void ts_localapi_free(struct ts_localapi *api);
/* The node is another one now, in the same engine (a profile was switched). */
void ts_localapi_set_node(struct ts_localapi *api, struct ts_node *node,
			  uint64_t now_ms);
/* It was to be, and could not be made. */
void ts_localapi_node_stays(struct ts_localapi *api);

void ts_localapi_handle(struct ts_localapi *api,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx);

/* Before the body is there: is it taken as it comes? Then *out is who takes it,
 * or NULL: it is answered already, and the body of no interest. Else
 * ts_localapi_handle() follows, once it is there. */
bool ts_localapi_upload(struct ts_localapi *api,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx,
			struct ts_localapi_upload **out);

/* A file of a peer's comes, waits, or does no longer. */
void ts_localapi_files_changed(struct ts_localapi *api);
/* Of a request that has only a head yet: is it a recording (of a bug), which
 * lasts until its body has ended? Then more is in the log until the second. */
bool ts_localapi_begin_recording(struct ts_localapi *api,
				 const struct ts_localapi_request *head,
				 uint64_t now_ms);
void ts_localapi_end_recording(struct ts_localapi *api);
/* As POST serve-config does, for a caller who may: 0; -EINVAL, -EBADMSG,
 * -ENOENT (err says why), -ESTALE (etag, when not NULL, is another's),
 * -ENOMEM. config stays the caller's. */
int ts_localapi_set_serve(struct ts_localapi *api, const json_t *config,
			  const char *etag, uint64_t now_ms,
			  char err[static TS_SERVE_ERROR_CAP]);

/* News of the node, as in struct ts_node_io. */
void ts_localapi_state_changed(struct ts_localapi *api,
			       enum ts_node_state state, const char *error,
			       uint64_t now_ms);
void ts_localapi_auth_url(struct ts_localapi *api, const char *url);
void ts_localapi_peer_changed(struct ts_localapi *api,
			      const struct ts_peer *peer);
void ts_localapi_peer_removed(struct ts_localapi *api,
			      const struct ts_peer *peer);
void ts_localapi_netmap_changed(struct ts_localapi *api, unsigned changes);
void ts_localapi_prefs_changed(struct ts_localapi *api, bool is_login);
uint64_t ts_localapi_deadline_ms(const struct ts_localapi *api);
void ts_localapi_tick(struct ts_localapi *api, uint64_t now_ms,
		      int64_t now_unix);

#endif
