# widgets_wh: a star-schema warehouse inside PostgreSQL.
#
#   make demo     set up this machine and run the main job on a simulated company
#   make check    set up this machine and run every test
#   make          build the extension (needs PostgreSQL's server headers)
#   make install  install it into the PostgreSQL that pg_config names

EXTENSION  = widgets_wh
EXTVERSION = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" widgets_wh.control)
MODULE_big = widgets_wh
OBJS       = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA_built = sql/widgets_wh--$(EXTVERSION).sql

# The install script is joined from pieces, in this order.
SQL_PIECES = $(sort $(wildcard sql/install/*.sql))

# compat.h comes before every file: who writes for one version need not know what another one moved.
PG_CPPFLAGS = -Isrc -include compat.h
# Compiled and run on every push with all warnings; CI adds -Werror.
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -MMD -MP $(EXTRA_CFLAGS)
SHLIB_LINK  = -lcsv -lz -lzstd -lrdkafka
EXTRA_CLEAN = src/.server sql/widgets_wh--*.sql src/*.d src/*/*.d build

# Bitcode would double the time of every build and inlines nothing here.
override with_llvm = no

# Goals that set a machine up must not need PostgreSQL to be there already.
ORCHESTRATED = demo check check-convergence check-valgrind check-versions check-sanitizer bench deb fuzz
ifneq ($(filter $(ORCHESTRATED),$(MAKECMDGOALS)),)

.PHONY: $(ORCHESTRATED)
demo:
	@scripts/demo
check:
	@scripts/check
fuzz:
	@test/fuzz/run
check-convergence check-valgrind check-versions check-sanitizer:
	@scripts/$@
bench:
	@scripts/bench
deb:
	@scripts/build-deb

else

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Generated data must not depend on the machine: no a * b + c in one rounding.
src/generator/%.o: CFLAGS += -ffp-contract=off

# Objects are of one PostgreSQL: headers of another one make all anew.
SERVER = $(VERSION) $(includedir_server)
ifneq ($(SERVER),$(shell cat src/.server 2>/dev/null))
$(shell echo '$(SERVER)' >src/.server)
endif
$(OBJS): src/.server

sql/widgets_wh--$(EXTVERSION).sql: $(SQL_PIECES) widgets_wh.control
	cat $(SQL_PIECES) > $@

-include $(OBJS:.o=.d)

# The models are plain SQL, installed beside the extension as readable files.
MODEL_FILES = $(wildcard models/*/*)
install: install-models
.PHONY: install-models
install-models:
	@for f in $(MODEL_FILES); do \
	  d='$(DESTDIR)$(datadir)/extension/widgets_wh/'$$(dirname $$f); \
	  $(MKDIR_P) "$$d" && $(INSTALL_DATA) $$f "$$d/" || exit 1; done
uninstall: uninstall-models
.PHONY: uninstall-models
uninstall-models:
	rm -rf '$(DESTDIR)$(datadir)/extension/widgets_wh'

endif
