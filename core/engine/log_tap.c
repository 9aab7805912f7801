/* SPDX-License-Identifier: BSD-3-Clause
 * log_tap.c - who reads the log of this thread beside its sink, and what of it
 * is shown in spite of the level
 *
 * A line's component is known by its beginning, as log.h has its form: a word
 * that is followed by ':', '-' or ' '.
 */
#include "core/engine/log_tap.h"

#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi.h"

static __thread struct ts_log_tap *taps;
static __thread unsigned shown; /* a bit a component */

void log_tap_open(struct ts_log_tap *tap)
{
	tap->next = taps;
	taps = tap;
	ts_log_hold_debug();
}

void log_tap_close(struct ts_log_tap *tap)
{
	struct ts_log_tap **at = &taps;

	while (*at && *at != tap)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = tap->next;
	ts_log_release_debug();
}

void log_taps_tell(enum ts_log_level level, const char *line)
{
	for (struct ts_log_tap *tap = taps; tap; tap = tap->next)
		tap->line(tap, level, line);
}

/* -- components ----------------------------------------------------------- */
static const struct {
	const char *name;
	const char *words[8];
} components[LOG_COMPONENTS] = {
	{"magicsock", {"path", "derp", "disco", "relay", "portmap", "udp",
		       "net-monitor"}},
	{"control", {"control", "link", "state", "c2n"}},
	{"wireguard", {"wg", "wireguard", "peer"}},
	{"netstack", {"stack", "conn", "forward"}},
	{"dns", {"dns", "resolver"}},
	{"host", {"host", "broker", "inbound", "listener", "datagram",
		  "proxy", "notify"}},
};

int log_component_find(const char *name)
{
	for (int i = 0; i < LOG_COMPONENTS; i++)
		if (strcmp(components[i].name, name) == 0)
			return i;
	return -1;
}

void log_component_show(int component, bool is_shown)
{
	unsigned bit = 1u << component;

	if (is_shown == ((shown & bit) != 0))
		return;
	shown ^= bit;
	if (is_shown)
		ts_log_hold_debug();
	else
		ts_log_release_debug();
}

static bool begins_with(const char *line, const char *word)
{
	size_t len = strlen(word);

	return strncmp(line, word, len) == 0 &&
	       (line[len] == ':' || line[len] == '-' || line[len] == ' ');
}

bool log_component_is_shown(const char *line)
{
	for (int i = 0; shown && i < LOG_COMPONENTS; i++) {
		const char *const *words = components[i].words;

		if (!(shown & 1u << i))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(components[i].words); k++)
			if (words[k] && begins_with(line, words[k]))
				return true;
	}
	return false;
}
