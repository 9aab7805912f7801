/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_aws_profile.c - ~/.aws/config and credentials; a 0 byte between the two
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/aws_profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const names[] = {NULL, "default", "a", "work"};
	char *text = malloc(len + 2), error[TS_AWS_ERROR_CAP];
	struct ts_aws_profile profile;
	const char *keys;

	if (!text)
		return 0;
	memcpy(text, data, len);
	text[len] = text[len + 1] = '\0';
	keys = text + strlen(text) + 1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (ts_aws_profile_read(text, keys, names[i], false, &profile,
					error)) {
			if (!memchr(error, '\0', sizeof(error)))
				abort();
			continue;
		}
		if (profile.role_count > TS_AWS_ROLES_MAX ||
		    (profile.credentials.key_id &&
		     !profile.credentials.secret))
			abort();
		ts_aws_profile_deinit(&profile);
	}
	free(text);
	return 0;
}
