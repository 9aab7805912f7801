/* SPDX-License-Identifier: BSD-3-Clause
 * filter_rules.c - the memory of packet filter rules
 *
 * The server sends filters in named pieces and changes them one by one; what
 * counts is their concatenation in name order. The pieces own the rules, the
 * concatenation only borrows them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/netmap.h"
#include "core/model/netmap_edit.h"

void ts_filter_rule_deinit(struct ts_filter_rule *rule)
{
	for (size_t i = 0; i < rule->src_count; i++)
		free(rule->srcs[i].node_cap);
	free(rule->srcs);
	free(rule->dsts);
	json_decref(rule->grant_caps);
	*rule = (struct ts_filter_rule){0};
}

void ts_filter_rules_free(struct ts_filter_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ts_filter_rule_deinit(&rules[i]);
	free(rules);
}

void ts_named_filter_deinit(struct ts_named_filter *named)
{
	ts_filter_rules_free(named->rules, named->rule_count);
	free(named->name);
	*named = (struct ts_named_filter){0};
}

/* Index of the first name that is not before this one. */
static size_t lower_bound(const struct ts_netmap *map, const char *name)
{
	size_t i = 0;

	while (i < map->named_filter_count &&
	       strcmp(map->named_filters[i].name, name) < 0)
		i++;
	return i;
}

static bool is_at(const struct ts_netmap *map, size_t i, const char *name)
{
	return i < map->named_filter_count &&
	       strcmp(map->named_filters[i].name, name) == 0;
}

/* The borrowed view must not outlive what it borrows from. */
static void forget_effective(struct ts_netmap *map)
{
	free(map->filter);
	map->filter = NULL;
	map->filter_rule_count = 0;
}

int ts_netmap_put_filter(struct ts_netmap *map, struct ts_named_filter *named)
{
	size_t i = lower_bound(map, named->name), count;
	struct ts_named_filter *grown;

	forget_effective(map);
	if (is_at(map, i, named->name)) {
		ts_named_filter_deinit(&map->named_filters[i]);
		map->named_filters[i] = *named;
		*named = (struct ts_named_filter){0};
		return 0;
	}
	count = map->named_filter_count;
	grown = realloc(map->named_filters, (count + 1) * sizeof(*grown));
	if (!grown) {
		ts_named_filter_deinit(named);
		return -ENOMEM;
	}
	memmove(grown + i + 1, grown + i, (count - i) * sizeof(*grown));
	grown[i] = *named;
	*named = (struct ts_named_filter){0};
	map->named_filters = grown;
	map->named_filter_count = count + 1;
	return 0;
}

void ts_netmap_drop_filter(struct ts_netmap *map, const char *name)
{
	size_t i = lower_bound(map, name);

	if (!is_at(map, i, name))
		return;
	forget_effective(map);
	ts_named_filter_deinit(&map->named_filters[i]);
	map->named_filter_count--;
	memmove(map->named_filters + i, map->named_filters + i + 1,
		(map->named_filter_count - i) * sizeof(*map->named_filters));
}

void ts_netmap_drop_all_filters(struct ts_netmap *map)
{
	forget_effective(map);
	for (size_t i = 0; i < map->named_filter_count; i++)
		ts_named_filter_deinit(&map->named_filters[i]);
	free(map->named_filters);
	map->named_filters = NULL;
	map->named_filter_count = 0;
}

int ts_netmap_join_filters(struct ts_netmap *map)
{
	const struct ts_named_filter *named = map->named_filters;
	size_t count = map->named_filter_count, total = 0, at = 0;

	forget_effective(map);
	for (size_t i = 0; i < count; i++) {
		if (named[i].has_legacy_bits)
			return 0; /* upstream denies everything then */
		total += named[i].rule_count;
	}
	if (total == 0)
		return 0;
	map->filter = calloc(total, sizeof(*map->filter));
	if (!map->filter)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < named[i].rule_count; k++)
			map->filter[at++] = named[i].rules[k];
	map->filter_rule_count = total;
	return 0;
}
