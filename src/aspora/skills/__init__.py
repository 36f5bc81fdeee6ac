"""A skill folder becomes a typed skill and a deterministic artifact. Works offline; never talks to a server."""

from aspora.skills.archive import Archive, ArchiveFile, read_archive, unpack, write_archive
from aspora.skills.domain_folder import LoadedDomain, load_domain
from aspora.skills.files import folder_digest
from aspora.skills.front_matter import body_of
from aspora.skills.load import LoadedSkill, load_skill
from aspora.skills.places import Places, SkillPlace, find_skills
from aspora.skills.problems import InvalidSkill, Problem
from aspora.skills.scaffold import CreatedSkill, create_skill

__all__ = [
    "Archive",
    "ArchiveFile",
    "CreatedSkill",
    "InvalidSkill",
    "LoadedDomain",
    "LoadedSkill",
    "Places",
    "Problem",
    "SkillPlace",
    "body_of",
    "create_skill",
    "find_skills",
    "folder_digest",
    "load_domain",
    "load_skill",
    "read_archive",
    "unpack",
    "write_archive",
]
