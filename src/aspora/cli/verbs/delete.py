"""`aspora delete`: objects by name."""

import argparse

from aspora.cli import exit_codes
from aspora.cli.app import Cli, report
from aspora.cli.printing import qualified_name
from aspora.cli.targets import add_domain_option, named, parse_target
from aspora.client.paths import object_path
from aspora.meta.errors import NotFound, StatusError

EXAMPLES = """examples:
  aspora delete skill wealth/create-goal
  aspora delete route create-goal.production -d wealth --dry-run
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Words and options."""
    parser.add_argument("kind", help="a kind, or kind/name")
    parser.add_argument("names", nargs="*", default=[], help="names, as name or domain/name")
    add_domain_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="go the whole way but delete nothing")
    parser.add_argument("--ignore-not-found", action="store_true", help="what is gone already counts as deleted")


def run(args: argparse.Namespace, cli: Cli) -> int:
    """Delete each; one that fails does not stop the others."""
    word, slash, name = args.kind.partition("/")
    names = named([name, *args.names] if slash else args.names)
    if not names:
        raise ValueError("say which: aspora delete skill wealth/create-goal")
    rest, code = cli.rest(), exit_codes.OK
    resource = rest.resource(word)
    for one in names:
        target = parse_target(resource, one, domain=args.domain, default_domain=cli.settings.domain)
        path = object_path(target.resource["name"], target.name, domain=target.domain)
        try:
            gone = rest.call("DELETE", path, query={"dryRun": "All" if args.dry_run else None})
            done = "would be deleted" if args.dry_run else "deleted"
            cli.out.line(f"{qualified_name(resource['singularName'], gone)} {done}")
        except NotFound as e:
            code = code if args.ignore_not_found else report(e, cli.out)
        except StatusError as e:
            code = report(e, cli.out)
    return code
