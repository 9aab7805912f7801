/* SPDX-License-Identifier: BSD-3-Clause
 * local_caller.c - what the other end of a LocalAPI connection may do
 *
 * The kernel says which uid it had when it connected. The operator is looked up
 * in /etc/passwd alone: other sources of names may take as long as a network
 * does, and the loop waits for nobody.
 * Source: ipn/ipnauth/ipnauth.go, ipn/ipnserver/actor.go
 */
#include "core/engine/local_caller.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASSWD "/etc/passwd"

enum { USERS_MAX = 65536 };

/* A number is a uid, as upstream has it. */
static bool parse_uid(const char *text, uid_t *out)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value >= (uid_t)-1)
		return false;
	*out = (uid_t)value;
	return true;
}

static bool find_uid(const char *name, uid_t *out)
{
	FILE *f = fopen(PASSWD, "re");
	const struct passwd *user;
	bool found = false;

	for (size_t i = 0; f && !found && i < USERS_MAX; i++) {
		user = fgetpwent(f);
		if (!user)
			break;
		found = strcmp(user->pw_name, name) == 0;
		if (found)
			*out = user->pw_uid;
	}
	if (f)
		fclose(f);
	return found;
}

static bool read_uid(int fd, uid_t *out)
{
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 ||
	    len != sizeof(cred) || cred.uid == (uid_t)-1)
		return false;
	*out = cred.uid;
	return true;
}

bool local_caller_is_owner(int fd)
{
	uid_t uid;

	return read_uid(fd, &uid) && (uid == 0 || uid == geteuid());
}

bool local_caller_is(int fd, const char *user)
{
	uid_t caller, uid;

	if (!user || !*user || !read_uid(fd, &caller))
		return false;
	return (parse_uid(user, &uid) || find_uid(user, &uid)) &&
	       caller == uid;
}

bool local_caller_may_write(int fd, const char *operator_user)
{
	return local_caller_is_owner(fd) ||
	       local_caller_is(fd, operator_user);
}
