/* SPDX-License-Identifier: BSD-3-Clause
 * control_config.c - a copy of the configuration that the client owns
 */
#include "core/control/control_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/prefix_list.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

static const char *dup_text(const char *text, int *err)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*err = -ENOMEM;
	return copy;
}

static void dup_tags(const struct ts_control_config *from,
		     struct ts_control_config *to, int *err)
{
	const char **tags = calloc(from->tag_count + 1, sizeof(*tags));

	to->tags = tags;
	to->tag_count = tags ? from->tag_count : 0;
	if (!tags)
		*err = -ENOMEM;
	for (size_t i = 0; i < to->tag_count; i++)
		tags[i] = dup_text(from->tags[i], err);
}

int ts_control_config_set_routes(struct ts_control_config *config,
				 const struct ts_prefix *routes, size_t count)
{
	struct ts_prefix *copy = ts_prefix_list_copy(routes, count);

	if (!copy)
		return -ENOMEM;
	free((void *)(uintptr_t)config->routes);
	config->routes = copy;
	config->route_count = count;
	return 0;
}

int ts_control_config_copy(const struct ts_control_config *from,
			   struct ts_control_config *to)
{
	int err = 0;

	*to = *from;
	to->routes = NULL;
	to->route_count = 0;
	to->control_url = dup_text(from->control_url, &err);
	to->auth_key = dup_text(from->auth_key, &err);
	to->backend_log_id = dup_text(from->backend_log_id, &err);
	to->hostname = dup_text(from->hostname, &err);
	to->os_version = dup_text(from->os_version, &err);
	to->machine_arch = dup_text(from->machine_arch, &err);
	to->app = dup_text(from->app, &err);
	to->ipn_version = dup_text(from->ipn_version, &err);
	to->distro = dup_text(from->distro, &err);
	to->distro_version = dup_text(from->distro_version, &err);
	dup_tags(from, to, &err);
	if (ts_control_config_set_routes(to, from->routes, from->route_count))
		err = -ENOMEM;
	if (err)
		ts_control_config_deinit(to);
	return err;
}

/* The texts are const for those who read the configuration; here they are
 * known to be ours. */
static void free_text(const char *text)
{
	free((char *)(uintptr_t)text);
}

void ts_control_config_deinit(struct ts_control_config *config)
{
	ts_wipe_free_text((char *)(uintptr_t)config->auth_key);
	free_text(config->control_url);
	free_text(config->backend_log_id);
	free_text(config->hostname);
	free_text(config->os_version);
	free_text(config->machine_arch);
	free_text(config->app);
	free_text(config->ipn_version);
	free_text(config->distro);
	free_text(config->distro_version);
	ts_text_list_free((char **)(uintptr_t)config->tags, config->tag_count);
	free((void *)(uintptr_t)config->routes);
	ts_wipe(config, sizeof(*config));
}
