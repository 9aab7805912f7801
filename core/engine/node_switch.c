/* SPDX-License-Identifier: BSD-3-Clause
 * node_switch.c - another profile: its node takes the place of this one
 * Source: ipn/ipnlocal/profiles.go (SwitchToProfile, DeleteProfile),
 * ipn/ipnlocal/local.go (resetForProfileChangeLocked)
 *
 * What is asked for is checked and noted in the state at once. The nodes are
 * exchanged in a later turn of the loop, as whoever asked may be deep inside
 * the old one. Until then nothing that the old one wants kept is taken down
 * any more: it would land in the new profile. The new node is made before the
 * old one goes, so that there is never none. The process, its loop, the UDP
 * port, the programs and their listeners are the same before and after
 * (core/host/node_change.c).
 *
 * As upstream: a profile brings all its preferences, also that it is stopped.
 * An empty one has those of this start, and waits for a login; that of a login
 * at another server has the caller's. The machine's key is the same for all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/drop_place.h"
#include "core/engine/engine_internal.h"
#include "core/engine/profile_store.h"
#include "core/localapi/localapi.h"
#include "core/model/login_server.h"
#include "core/state/profile_list.h"

struct next_login {
	struct ts_prefs prefs;
	char *auth_key; /* NULL: a person logs in */
};

void profile_store_forget_next(struct profile_store *store)
{
	struct next_login *next = store->next;

	store->next = NULL;
	if (!next)
		return;
	ts_prefs_deinit(&next->prefs);
	ts_wipe_free_text(next->auth_key);
	free(next);
}

/* -- the exchange --------------------------------------------------------- */

/* The old one's peers hear of resets while it can still send them. */
static void exchange(struct ts_engine *engine, struct ts_node *fresh)
{
	uint64_t now_ms = ts_loop_now_ms(engine->loop);
	struct ts_node *old = engine->node;
	struct ts_addr mapped;
	bool is_mapped = ts_node_port_mapped(old, &mapped);

	ts_host_leave_node(engine->member);
	engine_io_close(engine);
	engine->node = fresh;
	ts_host_enter_node(engine->member, fresh);
	if (engine->localapi)
		ts_localapi_set_node(engine->localapi, fresh, now_ms);
	ts_node_free(old);
	engine_follow_login(engine);
	engine->store.is_leaving = false;
	if (is_mapped)
		ts_node_port_mapping(fresh, &mapped, now_ms);
	engine_publish_endpoints(engine);
	if (ts_node_prefs(fresh)->want_running)
		ts_node_start(fresh, now_ms);
	else
		ts_node_stay_stopped(fresh, now_ms);
}

/* It waits for a person: nothing is asked of any server before. No server is
 * in its preferences, by which the CLI knows that nothing of it counts yet. */
static int make_empty(struct ts_engine *engine, struct ts_prefs *prefs)
{
	int code = profile_store_start_prefs(prefs, &engine->config);

	free(prefs->control_url);
	prefs->control_url = NULL;
	prefs->want_running = false;
	prefs->logged_out = true;
	return code;
}

/* Older versions kept none for Tailscale's own; ours may be another. */
static int complete_server(struct ts_prefs *prefs)
{
	if (prefs->control_url && *prefs->control_url)
		return 0;
	free(prefs->control_url);
	prefs->control_url = strdup(TS_DEFAULT_CONTROL_URL);
	return prefs->control_url ? 0 : -ENOMEM;
}

static int load(struct ts_engine *engine, struct ts_private_key *machine_key,
		struct ts_prefs *prefs)
{
	struct ts_state *state = engine->store.state;
	struct next_login *next = engine->store.next;
	char why[256] = "";
	bool created = false, found = false;
	int code = ts_state_machine_key(state, machine_key, &created, why);

	ts_prefs_init_default(prefs);
	if (!code) {
		ts_prefs_deinit(prefs);
		code = ts_state_load_profile(state, prefs, &found, why);
	}
	/* Kept before a server learns of it. */
	if (!code && created)
		code = state_store_save_now(engine->store.kept, why);
	if (!code && next) {
		ts_prefs_deinit(prefs);
		*prefs = next->prefs;
		ts_prefs_init_default(&next->prefs);
	}
	if (!code)
		code = found || next ? complete_server(prefs)
				     : make_empty(engine, prefs);
	if (!code)
		profile_store_complete(prefs);
	if (code)
		log_error("node-%s: cannot switch: %s",
			  engine->config.hostname,
			  why[0] ? why : ts_strerror(code));
	return code;
}

static void switch_now(void *ctx)
{
	struct ts_engine *engine = ctx;
	const struct next_login *next = engine->store.next;
	struct ts_private_key machine_key;
	struct ts_node *fresh = NULL;
	struct ts_prefs prefs;

	if (engine->phase != ENGINE_UP || !engine->store.is_leaving)
		return;
	if (load(engine, &machine_key, &prefs) == 0)
		fresh = engine_make_node(engine, &machine_key, &prefs,
					 next ? next->auth_key : NULL);
	ts_wipe(&machine_key, sizeof(machine_key));
	ts_prefs_deinit(&prefs);
	profile_store_forget_next(&engine->store);
	if (!fresh) {
		if (engine->localapi)
			ts_localapi_node_stays(engine->localapi);
		/* The old one goes on, and keeps nothing under the new name. */
		log_error("node-%s: stays what it was, and keeps nothing of "
			  "what changes", engine->config.hostname);
		return;
	}
	log_info("node-%s: goes on as another profile",
		 engine->config.hostname);
	exchange(engine, fresh);
}

/* The state says where to go, or next does, which is taken over. */
static int leave(struct ts_engine *engine, struct next_login *next,
		 char err[static 256])
{
	bool is_posted = engine->store.is_leaving;

	profile_store_forget_next(&engine->store);
	engine->store.next = next;
	engine->store.is_leaving = true;
	state_store_save(engine->store.kept);
	if (!is_posted && ts_loop_post(engine->loop, switch_now, engine)) {
		snprintf(err, 256, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

/* -- what can be asked for ------------------------------------------------ */

static int check_up(const struct ts_engine *engine, char err[static 256])
{
	if (engine->phase == ENGINE_UP)
		return 0;
	snprintf(err, 256, "the node is about to end");
	return -ESHUTDOWN;
}

json_t *profile_store_list(const struct ts_engine *engine)
{
	char why[128];
	json_t *list = ts_profiles_list(engine->store.state, why);

	if (!list)
		log_error("state: %s", why);
	return list;
}

json_t *profile_store_current(const struct ts_engine *engine)
{
	char why[128];
	json_t *current = ts_profiles_current(engine->store.state, why);

	if (!current)
		log_error("state: %s", why);
	return current;
}

static bool is_current(const struct ts_engine *engine, const char *id)
{
	json_t *current = profile_store_current(engine);
	const char *its = json_string_value(json_object_get(current, "ID"));
	bool is_it = its && *its && strcmp(its, id) == 0;

	json_decref(current);
	return is_it;
}

int profile_store_switch(struct ts_engine *engine, const char *id,
			 char err[static 256])
{
	struct ts_prefs prefs;
	int code = check_up(engine, err);

	if (code)
		return code;
	if (is_current(engine, id))
		return 0;
	code = ts_profiles_prefs(engine->store.state, id, &prefs, err);
	ts_prefs_deinit(&prefs);
	if (!code)
		code = ts_profiles_choose(engine->store.state, id, err);
	return code ? code : leave(engine, NULL, err);
}

int profile_store_new_empty(struct ts_engine *engine, char err[static 256])
{
	int code = check_up(engine, err);

	if (code)
		return code;
	ts_profiles_leave(engine->store.state);
	return leave(engine, NULL, err);
}

int profile_store_log_in_elsewhere(struct ts_engine *engine,
				   struct ts_prefs *prefs, const char *auth_key,
				   char err[static 256])
{
	struct next_login *next;
	int code = check_up(engine, err);

	if (code)
		return code;
	next = calloc(1, sizeof(*next));
	if (next && auth_key)
		next->auth_key = strdup(auth_key);
	if (!next || (auth_key && !next->auth_key)) {
		free(next);
		snprintf(err, 256, "out of memory");
		return -ENOMEM;
	}
	next->prefs = *prefs;
	ts_prefs_init_default(prefs);
	ts_profiles_leave(engine->store.state);
	return leave(engine, next, err);
}

int profile_store_delete(struct ts_engine *engine, const char *id,
			 char err[static 256])
{
	bool was_current = is_current(engine, id);
	int code = check_up(engine, err);

	if (!code)
		code = ts_profiles_delete(engine->store.state, id, err);
	if (code)
		return code;
	if (was_current)
		return leave(engine, NULL, err);
	state_store_save(engine->store.kept);
	return 0;
}

int profile_store_reset(struct ts_engine *engine, char err[static 256])
{
	struct ts_state *state = engine->store.state;
	json_t *list = profile_store_list(engine);
	int code = check_up(engine, err);
	json_t *profile;
	size_t i;

	json_array_foreach (list, i, profile)
		if (!code)
			code = ts_profiles_delete(
				state,
				json_string_value(json_object_get(profile,
								  "ID")),
				err);
	json_decref(list);
	if (!code && ts_state_forget_machine_key(state) < 0)
		code = -ENOMEM;
	if (code)
		return code;
	ts_profiles_leave(state);
	return leave(engine, NULL, err);
}
