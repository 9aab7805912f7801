/* SPDX-License-Identifier: BSD-3-Clause
 * derp_names.c - addresses of the DERP nodes that the map gives by name only
 */
#include "core/path/derp_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ts_derp_name *find(const struct ts_derp_names *n,
				 const char *host)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->names[i].host, host) == 0)
			return &n->names[i];
	return NULL;
}

static bool is_known(const struct ts_derp_name *name)
{
	return !ts_ip_is_zero(&name->v4) || !ts_ip_is_zero(&name->v6);
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

/* "none" in the map is an answer: that family is not there. */
static bool needs_name(const struct ts_derp_node *node)
{
	struct ts_ip ip;

	return node->stun_port > 0 && !is_empty(node->host_name) &&
	       is_empty(node->stun_test_ip) &&
	       (is_empty(node->ipv4) || is_empty(node->ipv6)) &&
	       ts_ip_parse(node->host_name, &ip) != 0;
}

static int add(struct ts_derp_names *n, const char *host)
{
	struct ts_derp_name *names;
	char *copy;

	if (find(n, host) || n->count == DERP_NAMES_MAX)
		return 0;
	names = realloc(n->names, (n->count + 1) * sizeof(*names));
	if (!names)
		return -ENOMEM;
	n->names = names;
	copy = strdup(host);
	if (!copy)
		return -ENOMEM;
	n->names[n->count++] = (struct ts_derp_name){.host = copy};
	return 0;
}

static void keep_known(struct ts_derp_names *n, const struct ts_derp_names *old)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct ts_derp_name *was = find(old, n->names[i].host);

		if (!was)
			continue;
		n->names[i].v4 = was->v4;
		n->names[i].v6 = was->v6;
		n->names[i].is_asked = was->is_asked;
		n->asked_count += was->is_asked;
	}
}

int ts_derp_names_set_map(struct ts_derp_names *n,
			  const struct ts_derp_map *map)
{
	struct ts_derp_names old = *n;
	int err = 0;

	*n = (struct ts_derp_names){0};
	for (size_t i = 0; map && i < map->region_count; i++) {
		const struct ts_derp_region *region = &map->regions[i];

		for (size_t j = 0; j < region->node_count && !err; j++)
			if (needs_name(&region->nodes[j]))
				err = add(n, region->nodes[j].host_name);
	}
	keep_known(n, &old);
	ts_derp_names_deinit(&old);
	return err;
}

void ts_derp_names_deinit(struct ts_derp_names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i].host);
	free(n->names);
	*n = (struct ts_derp_names){0};
}

const char *ts_derp_names_next(struct ts_derp_names *n, size_t *pos, bool all)
{
	while (*pos < n->count) {
		struct ts_derp_name *name = &n->names[(*pos)++];

		if (name->is_asked || (is_known(name) && !all))
			continue;
		name->is_asked = true;
		n->asked_count++;
		return name->host;
	}
	return NULL;
}

bool ts_derp_names_answered(struct ts_derp_names *n, const char *host,
			    const struct ts_ip *ips, size_t count)
{
	struct ts_derp_name *name = find(n, host);
	struct ts_ip v4 = TS_IP_ZERO, v6 = TS_IP_ZERO;

	if (!name || !name->is_asked)
		return false;
	name->is_asked = false;
	n->asked_count--;
	for (size_t i = count; i > 0; i--)
		*(ts_ip_is_v4(&ips[i - 1]) ? &v4 : &v6) = ips[i - 1];
	if (count > 0) {
		name->v4 = v4;
		name->v6 = v6;
	}
	return n->asked_count == 0;
}

bool ts_derp_names_find(const struct ts_derp_names *n, const char *host,
			bool want_v6, struct ts_ip *out)
{
	const struct ts_derp_name *name = host ? find(n, host) : NULL;

	if (!name)
		return false;
	*out = want_v6 ? name->v6 : name->v4;
	return !ts_ip_is_zero(out);
}
