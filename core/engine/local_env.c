/* SPDX-License-Identifier: BSD-3-Clause
 * local_env.c - the LocalAPI's view of the engine: profiles, state, sockets
 *
 * Owns the struct ts_localapi, gives it the loop's time, and does for it what
 * core/localapi cannot: read and write the state, open another port, close
 * streams. The node's news goes to it from node_io.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/acme/acme_order.h"
#include "core/base/log.h"
#include "core/engine/certs.h"
#include "core/engine/derp_report.h"
#include "core/engine/drop_place.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_dial.h"
#include "core/engine/local_server.h"
#include "core/engine/portmap_report.h"
#include "core/engine/profile_store.h"
#include "core/engine/state_store.h"
#include "core/localapi/localapi.h"

/* -- the state ------------------------------------------------------------ */
static char *load(void *ctx, const char *key)
{
	struct ts_engine *engine = ctx;
	size_t len = 0;
	const uint8_t *data = ts_state_get(engine->store.state, key, &len);

	return data ? strndup((const char *)data, len) : NULL;
}

static int store(void *ctx, const char *key, const char *text)
{
	struct ts_engine *engine = ctx;

	if (ts_state_set(engine->store.state, key, text, strlen(text)) < 0)
		return -ENOMEM;
	state_store_save(engine->store.kept);
	return 0;
}

/* -- profiles ------------------------------------------------------------- */
static json_t *profiles(void *ctx)
{
	return profile_store_list(ctx);
}

static json_t *current_profile(void *ctx)
{
	return profile_store_current(ctx);
}

static int profile_switch(void *ctx, const char *id, char err[static 256])
{
	return profile_store_switch(ctx, id, err);
}

static int profile_new(void *ctx, char err[static 256])
{
	return profile_store_new_empty(ctx, err);
}

static int profile_delete(void *ctx, const char *id, char err[static 256])
{
	return profile_store_delete(ctx, id, err);
}

static int reset_auth(void *ctx, char err[static 256])
{
	return profile_store_reset(ctx, err);
}

static int log_in_elsewhere(void *ctx, struct ts_prefs *prefs,
			    const char *auth_key, char err[static 256])
{
	return profile_store_log_in_elsewhere(ctx, prefs, auth_key, err);
}

/* -- sockets -------------------------------------------------------------- */
static int rebind(void *ctx)
{
	struct ts_engine *engine = ctx;
	int err;

	if (!engine->udp)
		return -ENETDOWN;
	err = ts_udp_port_rebind(engine->udp,
				 ts_udp_port_number(engine->udp));
	if (err)
		return err;
	engine_publish_endpoints(engine);
	ts_node_network_changed(engine->node, ts_loop_now_ms(engine->loop));
	return 0;
}

static void break_derps(void *ctx)
{
	engine_break_derps(ctx);
}

/* -- certificates --------------------------------------------------------- */
enum { CERT_LIMIT_MS = TS_ACME_ORDER_MS + 5000 };

struct cert_call {
	ts_localapi_cert_fn done;
	void *ctx;
};

static void on_cert(void *ctx, const struct cert_answer *a)
{
	struct cert_call call = *(struct cert_call *)ctx;
	struct ts_localapi_cert cert = {
		.key_pem = a->pair ? a->pair->key_pem : NULL,
		.chain_pem = a->pair ? a->pair->chain_pem : NULL,
		.error = a->pair ? NULL : a->error,
		.is_limited = a->is_limited,
		.retry_after_s = a->retry_after_s,
	};

	free(ctx);
	call.done(call.ctx, &cert);
}

static void cert(void *ctx, const char *domain, int64_t min_validity_s,
		 ts_localapi_cert_fn done, void *done_ctx)
{
	struct cert_call *call = malloc(sizeof(*call));
	struct cert_answer none = {.error = "too many wait for certificates"};

	if (!call) {
		done(done_ctx,
		     &(struct ts_localapi_cert){.error = "out of memory"});
		return;
	}
	*call = (struct cert_call){.done = done, .ctx = done_ctx};
	if (!certs_get(ctx, domain, min_validity_s, CERT_LIMIT_MS, on_cert,
		       call))
		on_cert(call, &none);
}

static json_t *cert_status(void *ctx, const char *domain)
{
	return certs_status(ctx, domain);
}

/* -- the log -------------------------------------------------------------- */
static void log_tap(void *ctx, struct ts_log_tap *tap)
{
	(void)ctx;
	log_tap_open(tap);
}

static void log_untap(void *ctx, struct ts_log_tap *tap)
{
	(void)ctx;
	log_tap_close(tap);
}

/* -- time ----------------------------------------------------------------- */
static void on_timer(void *ctx)
{
	struct ts_engine *engine = ctx;

	ts_localapi_tick(engine->localapi, ts_loop_now_ms(engine->loop),
			 time(NULL));
}

static void before_sleep(void *ctx)
{
	struct ts_engine *engine = ctx;

	ts_timer_set(engine->localapi_timer,
		     ts_localapi_deadline_ms(engine->localapi));
}

const struct ts_localapi_env engine_localapi_env = {
	.profiles = profiles,
	.current_profile = current_profile,
	.profile_switch = profile_switch,
	.profile_new = profile_new,
	.profile_delete = profile_delete,
	.log_in_elsewhere = log_in_elsewhere,
	.reset_auth = reset_auth,
	.reload_config = engine_reload_config,
	.log_tap = log_tap,
	.log_untap = log_untap,
	.log_component = engine_log_component,
	.threads = engine_thread_report,
	.posture = engine_posture,
	.load = load,
	.store = store,
	.rebind = rebind,
	.break_derps = break_derps,
	.derp_report = engine_derp_report,
	.portmap = engine_portmap_report,
	.portmap_leave = engine_portmap_leave,
	.dial = engine_local_dial,
	.cert = cert,
	.cert_status = cert_status,
	.resolve = engine_local_resolve,
};

int engine_open_localapi(struct ts_engine *engine, char err[static 256])
{
	bool has_dir = !engine->config.state_in_memory &&
		       !engine->config.kube_secret;
	struct ts_localapi_env env = engine_localapi_env;
	int code;

	env.state_dir = has_dir ? engine->config.state_dir : NULL;
	env.loop = engine->loop;
	env.drop_box = engine->drop_box;
	env.is_locked = engine->config.locked;

	engine->localapi = ts_localapi_new(engine->node, &env, engine);
	engine->localapi_timer = ts_timer_new(engine->loop, on_timer, engine);
	if (!engine->localapi || !engine->localapi_timer) {
		snprintf(err, 256, "cannot serve the LocalAPI: out of memory");
		return -ENOMEM;
	}
	code = ts_loop_before_sleep(engine->loop, before_sleep, engine);
	return code ? code
		    : local_server_open(&engine->local, engine,
					engine->localapi_path, err);
}

void engine_close_localapi(struct ts_engine *engine)
{
	local_server_close(engine->local);
	engine->local = NULL;
	engine_local_dials_end(engine);
	engine_derp_reports_end(engine);
	engine_portmap_report_end(engine);
	if (engine->localapi)
		ts_loop_before_sleep_remove(engine->loop, before_sleep, engine);
	ts_localapi_free(engine->localapi);
	engine->localapi = NULL;
	engine_log_components_end(engine);
	ts_timer_free(engine->localapi_timer);
	engine->localapi_timer = NULL;
}

/* -- news ----------------------------------------------------------------- */
void engine_prefs_changed(void *ctx, bool is_login)
{
	struct ts_engine *engine = ctx;

	engine_follow_login(engine);
	if (engine->local)
		local_server_follow_operator(engine->local);
	if (engine->localapi)
		ts_localapi_prefs_changed(engine->localapi, is_login);
}

void engine_peer_changed(void *ctx, const struct ts_peer *peer)
{
	struct ts_engine *engine = ctx;

	if (engine->localapi)
		ts_localapi_peer_changed(engine->localapi, peer);
}

void engine_peer_removed(void *ctx, const struct ts_peer *peer)
{
	struct ts_engine *engine = ctx;

	if (engine->localapi)
		ts_localapi_peer_removed(engine->localapi, peer);
}
