import sys

from seedbed.smoke.command import main

sys.exit(main())
