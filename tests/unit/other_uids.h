/* SPDX-License-Identifier: BSD-3-Clause
 * other_uids.h - for tests that become, or give a file to, another user
 */
#ifndef TESTS_UNIT_OTHER_UIDS_H
#define TESTS_UNIT_OTHER_UIDS_H

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { OTHER_UID = 65534 };

/* Only root may, and not in a user namespace that has nobody else. */
static inline bool has_other_uids(void)
{
	FILE *map = fopen("/proc/self/uid_map", "re");
	unsigned long first, outside, count;
	bool is_there = false;

	while (map && fscanf(map, "%lu %lu %lu", &first, &outside, &count) == 3)
		is_there |= OTHER_UID >= first && OTHER_UID - first < count;
	if (map)
		fclose(map);
	return is_there && geteuid() == 0;
}

#endif
