/* SPDX-License-Identifier: BSD-3-Clause
 * posture.c - which machine this is, for a tailnet that asks for it
 *
 * Only where the user permits it (tailscale set --report-posture). Serial
 * numbers are what the firmware says, which the kernel shows to root alone;
 * hardware addresses are those of the interfaces that this process sees.
 * Source: posture/serialnumber_notmacos.go, posture/hwaddr.go
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/io/disk.h"

#define DMI "/sys/class/dmi/id/"
#define NET "/sys/class/net"

enum { VALUE_MAX = 256, INTERFACES_MAX = 256, PATH_CAP = 320 };

/* The first line, without what no serial number has around it. */
static char *read_line(const char *path)
{
	uint8_t *data = NULL;
	size_t len = 0, skip;
	char *text;

	if (ts_disk_read(path, VALUE_MAX * 16, &data, &len))
		return NULL;
	text = (char *)data;
	text[strcspn(text, "\r\n")] = '\0';
	skip = strspn(text, " \t");
	len = strlen(text + skip);
	while (len > 0 && (text[skip + len - 1] == ' ' ||
			   text[skip + len - 1] == '\t'))
		len--;
	memmove(text, text + skip, len);
	text[len] = '\0';
	if (len > 0 && len <= VALUE_MAX)
		return text;
	free(text);
	return NULL;
}

static json_t *serial_numbers(void)
{
	static const char *const files[] = {DMI "product_serial",
					    DMI "board_serial",
					    DMI "chassis_serial"};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *text = read_line(files[i]);

		if (text) /* what is not UTF-8 is left out */
			json_array_append_new(list, json_string(text));
		free(text);
	}
	return list;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Upstream lists each once, in order. */
static json_t *sorted(char **found, size_t count)
{
	json_t *list = json_array();

	if (count)
		qsort(found, count, sizeof(*found), compare);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || strcmp(found[i], found[i - 1]) != 0)
			json_array_append_new(list, json_string(found[i]));
	for (size_t i = 0; i < count; i++)
		free(found[i]);
	return list;
}

static json_t *hardware_addresses(void)
{
	char *found[INTERFACES_MAX], path[PATH_CAP];
	DIR *dir = opendir(NET);
	const struct dirent *entry;
	size_t count = 0;

	while (dir && count < INTERFACES_MAX && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "lo") == 0)
			continue;
		snprintf(path, sizeof(path), NET "/%.250s/address",
			 entry->d_name);
		found[count] = read_line(path);
		if (found[count])
			count++;
	}
	if (dir)
		closedir(dir);
	return sorted(found, count);
}

json_t *engine_posture(void *ctx, bool with_addresses)
{
	const struct ts_engine *engine = ctx;
	json_t *out = json_object(), *serials = serial_numbers();

	if (json_array_size(serials) == 0)
		log_info("node-%s: no serial number to report: the firmware "
			 "has none, or only root may read it",
			 engine->config.hostname);
	else
		json_object_set(out, "SerialNumbers", serials);
	json_decref(serials);
	if (with_addresses) {
		json_t *addresses = hardware_addresses();

		if (json_array_size(addresses) > 0)
			json_object_set(out, "IfaceHardwareAddrs", addresses);
		json_decref(addresses);
	}
	return out;
}
