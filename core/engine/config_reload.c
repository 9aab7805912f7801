/* SPDX-License-Identifier: BSD-3-Clause
 * config_reload.c - tsnet.conf and the environment, read again
 *
 * Options are compared as they were written. What differs and is a preference
 * becomes one, as `tailscale set` would have it: only these, so that what was
 * set meanwhile and is not in the file stays. The level of the log and the UDP
 * port follow as well. All else is made once, at a start: it is named, and
 * named again the next time. Secrets are read when a node starts. The
 * environment is that of the start.
 * Source: ipn/ipnlocal/local.go (ReloadConfig)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/config_load.h"
#include "core/engine/engine_internal.h"
#include "core/model/json_fields.h"
#include "core/model/prefs_edit.h"

static char *dup_or_null(const char *text, int *code)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*code = -ENOMEM;
	return copy;
}

/* -- preferences ---------------------------------------------------------- */
static int take_hostname(const struct ts_config *c, struct ts_prefs *p)
{
	int code = 0;

	free(p->hostname);
	p->hostname = dup_or_null(c->hostname, &code);
	return code;
}

static int take_tags(const struct ts_config *c, struct ts_prefs *p)
{
	char **tags = calloc(c->tag_count + 1, sizeof(*tags));
	int code = tags ? 0 : -ENOMEM;

	if (code)
		return code;
	ts_text_list_free(p->advertise_tags, p->advertise_tag_count);
	for (size_t i = 0; i < c->tag_count; i++)
		tags[i] = dup_or_null(c->tags[i], &code);
	p->advertise_tags = tags;
	p->advertise_tag_count = c->tag_count;
	return code;
}

static int take_accept_routes(const struct ts_config *c, struct ts_prefs *p)
{
	p->route_all = c->accept_routes;
	return 0;
}

static int take_accept_dns(const struct ts_config *c, struct ts_prefs *p)
{
	p->corp_dns = c->accept_dns;
	return 0;
}

static int take_shields_up(const struct ts_config *c, struct ts_prefs *p)
{
	p->shields_up = c->shields_up;
	return 0;
}

static int take_routes(const struct ts_config *c, struct ts_prefs *p)
{
	return ts_route_prefs_set_advertised(&p->routes, c->advertise_routes,
					     c->advertise_route_count);
}

static int take_exit_node(const struct ts_config *c, struct ts_prefs *p)
{
	return ts_route_prefs_set_exit_node(&p->routes, c->exit_node);
}

static int take_allow_lan(const struct ts_config *c, struct ts_prefs *p)
{
	p->routes.allow_lan = c->exit_node_allow_lan_access;
	return 0;
}

static const struct {
	const char *key;
	int (*take)(const struct ts_config *config, struct ts_prefs *prefs);
} preferences[] = {
	{"hostname", take_hostname},
	{"tags", take_tags},
	{"accept_routes", take_accept_routes},
	{"accept_dns", take_accept_dns},
	{"shields_up", take_shields_up},
	{"advertise_routes", take_routes},
	{"advertise_exit_node", take_routes},
	{"exit_node", take_exit_node},
	{"exit_node_allow_lan_access", take_allow_lan},
};

static bool is_preference(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(preferences); i++)
		if (strcmp(preferences[i].key, key) == 0)
			return true;
	return false;
}

static size_t index_of(const char *key)
{
	size_t count, i = 0;
	const struct ts_config_option *all = ts_config_options(&count);

	while (i < count && strcmp(all[i].key, key) != 0)
		i++;
	return i;
}

static int follow_preferences(struct ts_engine *engine,
			      const struct ts_config *fresh,
			      char err[static 256])
{
	json_t *nothing = json_object();
	bool any = false;
	struct ts_prefs next;
	int code = ts_prefs_edit(ts_node_prefs(engine->node), nothing,
				 TS_PREFS_MASKED, &next, err);

	json_decref(nothing);
	if (code)
		return code;
	for (size_t i = 0; i < ARRAY_LEN(preferences); i++) {
		if (code || !ts_config_changed(&engine->config, fresh,
					       index_of(preferences[i].key)))
			continue;
		code = preferences[i].take(fresh, &next);
		any = true;
	}
	if (!code && any)
		ts_node_edit_prefs(engine->node, &next,
				   ts_loop_now_ms(engine->loop));
	ts_prefs_deinit(&next);
	if (code)
		snprintf(err, 256, "out of memory");
	return code;
}

/* -- the rest ------------------------------------------------------------- */
static int follow_port(struct ts_engine *engine, const struct ts_config *fresh)
{
	int code = 0;

	if (!engine->has_random_port && engine->udp)
		code = ts_udp_port_rebind(engine->udp, fresh->port);
	if (code)
		return code;
	engine->config.port = fresh->port;
	engine_publish_endpoints(engine);
	engine_update_mapper(engine);
	ts_node_network_changed(engine->node, ts_loop_now_ms(engine->loop));
	return 0;
}

static int follow_log_level(struct ts_engine *engine,
			    const struct ts_config *fresh)
{
	engine->config.log_level = fresh->log_level;
	ts_log_set_level(fresh->log_level);
	return 0;
}

static const struct {
	const char *key;
	int (*follow)(struct ts_engine *engine, const struct ts_config *fresh);
} others[] = {
	{"port", follow_port},
	{"log_level", follow_log_level},
};

/* -EOPNOTSUPP: it takes a start. */
static int follow_other(struct ts_engine *engine, const struct ts_config *fresh,
			const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (strcmp(others[i].key, key) == 0)
			return others[i].follow(engine, fresh);
	return -EOPNOTSUPP;
}

static void swap_texts(char **a, char **b)
{
	char *text = *a;

	*a = *b;
	*b = text;
}

/* What a profile that is made later begins with. */
static void keep_settings(struct ts_config *now, struct ts_config *fresh)
{
	char **tags = now->tags;
	size_t tag_count = now->tag_count;
	struct ts_prefix *routes = now->advertise_routes;
	size_t route_count = now->advertise_route_count;

	swap_texts(&now->hostname, &fresh->hostname);
	swap_texts(&now->exit_node, &fresh->exit_node);
	now->tags = fresh->tags;
	now->tag_count = fresh->tag_count;
	fresh->tags = tags;
	fresh->tag_count = tag_count;
	now->advertise_routes = fresh->advertise_routes;
	now->advertise_route_count = fresh->advertise_route_count;
	fresh->advertise_routes = routes;
	fresh->advertise_route_count = route_count;
	now->accept_routes = fresh->accept_routes;
	now->accept_dns = fresh->accept_dns;
	now->shields_up = fresh->shields_up;
	now->exit_node_allow_lan_access = fresh->exit_node_allow_lan_access;
}

static void add_name(char err[static 256], const char *key, const char *why)
{
	size_t len = strlen(err);

	snprintf(err + len, 256 - len, "%s%s%s%s",
		 len ? ", " : "with the next start: ", key, why ? ": " : "",
		 why ? why : "");
}

static void follow_all(struct ts_engine *engine, struct ts_config *fresh,
		       char err[static 256])
{
	struct ts_config *now = &engine->config;
	size_t count;
	const struct ts_config_option *all = ts_config_options(&count);

	for (size_t i = 0; i < count; i++) {
		int code;

		if (!ts_config_changed(now, fresh, i))
			continue;
		code = is_preference(all[i].key)
			       ? 0
			       : follow_other(engine, fresh, all[i].key);
		if (code)
			add_name(err, all[i].key,
				 code == -EOPNOTSUPP ? NULL
						     : ts_strerror(code));
		else
			swap_texts(&now->given[i], &fresh->given[i]);
		log_info("node-%s: %s is another now%s", now->hostname,
			 all[i].key, code ? ", with the next start" : "");
	}
}

int engine_reload_config(void *ctx, char err[static 256])
{
	struct ts_engine *engine = ctx;
	struct ts_config fresh;
	int code;

	err[0] = '\0';
	if (!engine->config.environment)
		return -ENOSYS;
	code = config_load_again(&fresh, &engine->config, err);
	if (code)
		return code;
	code = follow_preferences(engine, &fresh, err);
	if (!code) {
		err[0] = '\0';
		follow_all(engine, &fresh, err);
		keep_settings(&engine->config, &fresh);
	}
	ts_config_deinit(&fresh);
	return code;
}
