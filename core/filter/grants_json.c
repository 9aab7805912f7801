/* SPDX-License-Identifier: BSD-3-Clause
 * grants_json.c - capabilities that the rules give to peers
 *
 * Asked for once a connection (WhoIs, PeerAPI) or for each peer after a change
 * (relays), so grants are simply tried in order; their sources and
 * destinations are sorted sets. "cap:" sources do not apply to grants.
 */
#include "core/filter/grants_json.h"

#include <errno.h>
#include <stdlib.h>

#include "core/filter/filter_match.h"

struct grant {
	struct ts_ip_set srcs[TS_FAMILY_COUNT];
	struct ts_ip_set dsts[TS_FAMILY_COUNT];
	json_t *caps;
};

struct ts_grants {
	struct grant *grants;
	size_t count;
};

static int add(struct ts_ip_set sets[static TS_FAMILY_COUNT],
	       const struct ts_ip_range *range)
{
	return ts_ip_set_add(&sets[ts_ip_family_of(&range->first)], range);
}

static int read_grant(struct grant *grant, const struct ts_filter_rule *rule)
{
	struct ts_ip_range range;
	int err = 0;

	for (size_t i = 0; i < rule->src_count && !err; i++)
		if (ts_filter_src_range(&rule->srcs[i], &range))
			err = add(grant->srcs, &range);
	for (size_t i = 0; i < rule->dst_count && !err; i++)
		if (ts_filter_dst_range(&rule->dsts[i], &range))
			err = add(grant->dsts, &range);
	for (int f = 0; f < TS_FAMILY_COUNT; f++) {
		ts_ip_set_seal(&grant->srcs[f]);
		ts_ip_set_seal(&grant->dsts[f]);
	}
	grant->caps = json_incref(rule->grant_caps);
	return err;
}

struct ts_grants *ts_grants_new(const struct ts_filter_rule *rules,
				size_t rule_count)
{
	struct ts_grants *g = calloc(1, sizeof(*g));
	size_t count = 0;
	int err = 0;

	for (size_t i = 0; i < rule_count; i++)
		count += rules[i].grant_caps != NULL;
	if (!g)
		return NULL;
	g->grants = calloc(count + 1, sizeof(*g->grants));
	if (!g->grants)
		err = -ENOMEM;
	for (size_t i = 0; i < rule_count && !err; i++)
		if (rules[i].grant_caps)
			err = read_grant(&g->grants[g->count++], &rules[i]);
	if (err) {
		ts_grants_free(g);
		g = NULL;
	}
	return g;
}

void ts_grants_free(struct ts_grants *grants)
{
	if (!grants)
		return;
	for (size_t i = 0; i < grants->count; i++) {
		struct grant *grant = &grants->grants[i];

		for (int f = 0; f < TS_FAMILY_COUNT; f++) {
			ts_ip_set_deinit(&grant->srcs[f]);
			ts_ip_set_deinit(&grant->dsts[f]);
		}
		json_decref(grant->caps);
	}
	free(grants->grants);
	free(grants);
}

/* The values are shared, the arrays are new: others still use the rule's. */
static int append(json_t *out, const char *cap, json_t *values)
{
	json_t *all = json_object_get(out, cap);

	if (!all) {
		all = json_array();
		if (json_object_set_new(out, cap, all))
			return -ENOMEM;
	}
	if (json_is_array(values) && json_array_extend(all, values))
		return -ENOMEM;
	return 0;
}

static int append_all(json_t *out, json_t *caps)
{
	const char *cap;
	json_t *values;
	int err = 0;

	json_object_foreach(caps, cap, values) if (!err && cap[0] != '\0') err =
		append(out, cap, values);
	return err;
}

static bool applies(const struct grant *grant, const struct ts_ip *src,
		    const struct ts_ip *dst)
{
	enum ts_ip_family family = ts_ip_family_of(src);

	return ts_ip_family_of(dst) == family &&
	       ts_ip_set_contains(&grant->srcs[family], src) &&
	       ts_ip_set_contains(&grant->dsts[family], dst);
}

json_t *ts_grants_of(const struct ts_grants *grants, const struct ts_ip *src,
		     const struct ts_ip *dst)
{
	json_t *out = json_object();

	for (size_t i = 0; out && grants && i < grants->count; i++) {
		const struct grant *grant = &grants->grants[i];

		if (applies(grant, src, dst) && append_all(out, grant->caps)) {
			json_decref(out);
			out = NULL;
		}
	}
	return out;
}

bool ts_grants_include(const struct ts_grants *grants, const struct ts_ip *src,
		       const struct ts_ip *dst, const char *cap)
{
	for (size_t i = 0; grants && i < grants->count; i++) {
		const struct grant *grant = &grants->grants[i];

		if (json_object_get(grant->caps, cap) &&
		    applies(grant, src, dst))
			return true;
	}
	return false;
}

bool ts_grants_know(const struct ts_grants *grants, const char *cap)
{
	for (size_t i = 0; grants && i < grants->count; i++)
		if (json_object_get(grants->grants[i].caps, cap))
			return true;
	return false;
}
