"""The texts that `python -m benchmarks.recipe` trains on: 34 public ones, from 21 kB to 100 MB, and how each is made.

None is part of the project. A text is made by hand, from the files that `made` names in the source, a GitHub repository
at a commit unless it says otherwise. All are UTF-8 with LF, without a byte order mark. "Joined" is end to end, in the
code-point order of their paths; "as lines" is without line breaks at both ends of a file, and one after each. Besides:

- Project Gutenberg: decoded as ISO-8859-1; what is between the line that begins with `*** START OF` and the first after
  it that begins with `*** END OF`, `End of Project` or `End of the Project`, without line breaks at both ends and one
  after it; without a first paragraph that begins with "Produced by", and the line breaks after that.
- Aozora: `files/**/*_ruby_*.txt` of the folder, decoded as cp932. What comes after the second line of 20 hyphens and
  more, without further ones, or all where there are none; up to a line that begins with "底本："; without `［＃...］`,
  `《...》` and `｜`; three line breaks and more become two, none at both ends and one after it. Between works stands a
  blank line.
- First comments: `/* ... */` at the head of a file, with blanks before it and line breaks after it.
- Annotations: `cldr-json/cldr-annotations-full/annotations/LANGUAGE/annotations.json`, in its order: the key, a space,
  the first of `tts`, a colon, a space, and what `default` lists, with commas and spaces.

Those that choose settings and those that only report have each their small and large ones, prose and code, scripts of
dozens and of thousands of characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Text(NamedTuple):
    """A text of the suite.

    Attributes:
        file: its name in one of the suite's folders.
        chooses: whether settings may be chosen on it; otherwise it only reports.
        language: what it is written in.
        source: the public place that it comes from.
        made: the files that it is made of, and how.
        sha256: the SHA-256 of the file, in hexadecimal; "" is not checked.
        options: what it is trained with, beside the budget and the seed.
    """

    file: str
    chooses: bool
    language: str = ""
    source: str = ""
    made: str = ""
    sha256: str = ""
    options: tuple[str, ...] = ()

    def find(self, folders: Sequence[str | Path]) -> Path | None:
        """Its file in the first of the folders that has one; None where none has.

        Raises:
            SystemExit: the file holds another text.
        """
        path = next((found for folder in folders if (found := Path(folder) / self.file).is_file()), None)
        if path is not None and self.sha256:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != self.sha256:
                raise SystemExit(
                    f"{path} is not the suite's text: its SHA-256 begins with {found[:12]}, not with "
                    f"{self.sha256[:12]}. Make it as benchmarks/texts.py says."
                )
        return path


# fmt: off
TEXTS = (
    Text(
        "waltzes_abc.txt", chooses=True, language="tunes in ABC",
        source="jukedeck/nottingham-dataset@0992bb6cd864",
        made="ABC_cleaned/waltzes.abc",
        sha256="ffa773d012756be17784ab4a84e0e4618f316be5c6f244f9d60c06b23cd812c6",
    ),
    Text(
        "heapq_py.txt", chooses=False, language="Python",
        source="python/cpython@v3.11.7",
        made="Lib/heapq.py",
        sha256="6d43277e5c76fc0f073cd388fcff852d14d068f6bb6d4886c340f8b75a1229a9",
    ),
    Text(
        "lvm_c.txt", chooses=True, language="C",
        source="lua/lua@53b41d0cddd8",
        made="lvm.c, without its first comment",
        sha256="7b42cd34bce65b23e0d9ed2a10f1f13cdb6e0859f3fc8b8eed28d68f18d6893a",
    ),
    Text(
        "gitmoji_log.txt", chooses=False, language="English and emoji",
        source="carloscuesta/gitmoji@678e92568892",
        made="`git log --reverse --format=%s`",
        sha256="c976c5aa91445e4752b671311fc6917c42bcf6e81d440ab7428938ae942cd4fc",
    ),
    Text(
        "overcoat_ru.txt", chooses=False, language="Russian",
        source="nevmenandr/word2vec-russian-novels@718f41fd964c",
        made="vector-school/Shinel.txt",
        sha256="598ef219f5f404cd891eab56f88b728bce3cb57b5703f9d6f0ff2d07f99d992b",
    ),
    Text(
        "verwandlung_de.txt", chooses=True, language="German",
        source="GITenberg/Die-Verwandlung_22367@dd2beec59176",
        made="22367-8.txt, as all of Project Gutenberg",
        sha256="098453e700b23a1dde07e76a20b95050ca367ad1609656630b54bd701dabf2fb",
    ),
    Text(
        "emoji_en.txt", chooses=True, language="English and emoji",
        source="unicode-org/cldr-json@b08a82b582f1",
        made="annotations of `en`, a line each",
        sha256="97ccdf08b4c1cb419a8bf9bc00911cb2c0f369c2097ba48df93cf6faa224d6b6",
    ),
    Text(
        "sentences_tr.txt", chooses=False, language="Turkish",
        source="UniversalDependencies/UD_Turkish-BOUN@f828b0287212",
        made="`# text` of tr_boun-ud-dev.conllu, -test.conllu",
        sha256="7fbcd4e3f94a1635550343b7c7cf8cc652cff83cd9bc5196c5c2d4e5fb03d686",
    ),
    Text(
        "names.txt", chooses=True, language="English names",
        source="karpathy/makemore",
        made="names.txt",
        sha256="0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    ),
    Text(
        "onegin_ru.txt", chooses=False, language="Russian",
        source="Pushkin, Eugene Onegin",
        made="the text with this fingerprint",
        sha256="2990bb79495c017175794596e9b5f98e9e10cf569197e4c561bdd9a2853fb948",
    ),
    Text(
        "tunes_abc.txt", chooses=False, language="tunes in ABC",
        source="jukedeck/nottingham-dataset@0992bb6cd864",
        made="ABC_cleaned/*.abc, joined",
        sha256="b1c9a8ec080e9a81ce22f3d8ce014f23d381ba59e5a6119b44f162b12b910824",
    ),
    Text(
        "sentences_grc.txt", chooses=True, language="Ancient Greek",
        source="UniversalDependencies/UD_Ancient_Greek-Perseus@9ac120a0d971",
        made="`# text` of grc_perseus-ud-dev.conllu, -test.conllu",
        sha256="b9cdd0886a8300fdbf88064bd35b96e281641f21b786ee735dae2d8ff97c0e3e",
    ),
    Text(
        "nietzsche.txt", chooses=False, language="English",
        source="Keras's example, s3.amazonaws.com/text-datasets",
        made="nietzsche.txt",
        sha256="23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647",
    ),
    Text(
        "kalevala_fi.txt", chooses=True, language="Finnish",
        source="GITenberg/Kalevala_7000@98eb5d08c261",
        made="7000-8.txt, as all of Project Gutenberg",
        sha256="48146d6f0085d373eefafdf54832f6d1c19f87f8a6907be6f754906bdb7f9510",
    ),
    Text(
        "bovary_fr.txt", chooses=False, language="French",
        source="GITenberg/Madame-Bovary_14155@defa45e64145",
        made="14155-8.txt, as all of Project Gutenberg",
        sha256="f6e47b26f7ab68e815cf1b7ffca85e10205f7c4f853eec44021ee9d560fb54e8",
    ),
    Text(
        "release_notes_md.txt", chooses=True, language="Markdown and emoji",
        source="fastapi/fastapi@c3f316b7e814",
        made="docs/en/docs/release-notes.md",
        sha256="72bb2b2a1fd587ea0f885cfdaa988cbb00b894c117939ad74977630e8310c31c",
    ),
    Text(
        "chat_ko.txt", chooses=True, language="Korean",
        source="songys/Chatbot_data@4cf20d13fc46",
        made="ChatbotData.csv: a line for each Q and each A",
        sha256="30ea9d17f60ce1b36e1574ef2badbd7d4025b8e98b5e7d804bd88aefc6f1d1c9",
    ),
    Text(
        "lua_c.txt", chooses=False, language="C",
        source="lua/lua@53b41d0cddd8",
        made="*.c and *.h of the top folder, without first comments, joined",
        sha256="0b84f1dd4dedb2d149fafc38ac18c945075a9bf97bb1145872f5a7a68b5c09cf",
    ),
    Text(
        "tiny_shakespeare.txt", chooses=True, language="English",
        source="karpathy/char-rnn",
        made="data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    Text(
        "quran_ar.txt", chooses=False, language="Arabic",
        source="risan/quran-json@791a3cf1376e",
        made="data/quran.json: `text`, a line for each verse",
        sha256="05905855a83f5d9bd0f88945f04467774a2c9f4fcd10dd3e3bb56299ef4bfda5",
    ),
    Text(
        "middlemarch.txt", chooses=True, language="English",
        source="GITenberg/Middlemarch_145@39add53d31f1",
        made="145-8.txt, as all of Project Gutenberg",
        sha256="24fee01e298e854cfefff4155f3fe1aa1531372cd2b1ab8ba9936233a12c7ab8",
    ),
    Text(
        "quijote_es.txt", chooses=False, language="Spanish",
        source="GITenberg/Don-Quijote_2000@7879f2c1653e",
        made="2000-8.txt, as all of Project Gutenberg",
        sha256="6b6980190ef34f73b2496bcbf530596a16cdc7ebc39d03f20c9a53a93d73f3f2",
    ),
    Text(
        "novels_ru.txt", chooses=True, language="Russian",
        source="nevmenandr/word2vec-russian-novels@718f41fd964c",
        made="books_before/: CrimeAndPunishment.txt, FathersAndSons.txt, joined",
        sha256="7c68046cee64be279fb5277d9bc8bbd7634ff6661b1f83b6e2501a261fa2dcd0",
    ),
    Text(
        "emoji_world.txt", chooses=False, language="14 languages and emoji",
        source="unicode-org/cldr-json@b08a82b582f1",
        made="annotations of `ar de el en es fr he hi ja ko ru th tr zh`, a line each",
        sha256="4de5c543d8c256a49d503bd1d483a160731e4ade2d37752b784e4542d42d8453",
    ),
    Text(
        "react_ko.txt", chooses=True, language="Korean Markdown, code",
        source="reactjs/ko.react.dev@2e8c873c3cea",
        made="src/content/**/*.md, joined",
        sha256="de6b31ce0107a53a2a83e8d2852b6f6e492e85ecb0fe4210b105d261c743a6d9",
    ),
    Text(
        "taiping_zh.txt", chooses=False, language="Classical Chinese",
        source="NiuTrans/Classical-Modern@4e746ea9fa99",
        made="古文原文/太平广记/*/text.txt, joined as lines",
        sha256="bf74d50a115c71f1f344e7e186c8ec530d1a5846017f0662b39162e6401f71ab",
    ),
    Text(
        "redis_c.txt", chooses=True, language="C",
        source="redis/redis@4f8cdc2a1ea5",
        made="src/*.c and src/*.h, without first comments, joined",
        sha256="7f60d31e7957ceb3d156359a019ad4edd7048f8d297122756890c3efd5ad08ef",
    ),
    Text(
        "akutagawa_ja.txt", chooses=True, language="Japanese",
        source="aozorahack/aozorabunko_text@0984f7dc18a2",
        made="cards/000879, as all of Aozora",
        sha256="89cafea9e582f37abe824f8513b34547f6c58180bee420ad7cc810a7fbd3f258",
    ),
    Text(
        "reviews_ko.txt", chooses=False, language="Korean",
        source="e9t/nsmc@cc0670e872d4",
        made="`review` of raw/*.json, a line each, blanks as one space; the first 3,000,000 characters",
        sha256="83ba383358e8257a25cf5cf459f4bb8238fcd3c82b313471d303879d3a74156c",
    ),
    Text(
        "reviews_en.txt", chooses=False, language="English",
        source="nltk/nltk_data@5db857e6f7df",
        made="packages/corpora/movie_reviews.zip: its *.txt, joined",
        sha256="8e9743dac585c460c6a7f1f155339f7d2a9fa4c9433af5f8fed70602b15cf124",
    ),
    Text(
        "tang_poems.txt", chooses=True, language="Classical Chinese",
        source="chinese-poetry/chinese-poetry",
        made="the complete Tang poems with this fingerprint",
        sha256="4083507661bc75e383634936c37c731bf603333d7b409bdaca608754f8c54b62",
        options=("--min-count", "10"),
    ),
    Text(
        "zizhi_zh.txt", chooses=True, language="Chinese",
        source="NiuTrans/Classical-Modern@4e746ea9fa99",
        made="双语数据/资治通鉴/**/target.txt, joined as lines",
        sha256="c680af6bdf74239740237522a582649b29e90a42159f24ab4c592e1df56741c1",
    ),
    Text(
        "yoshikawa_ja.txt", chooses=False, language="Japanese",
        source="aozorahack/aozorabunko_text@0984f7dc18a2",
        made="cards/001562, as all of Aozora",
        sha256="faa1f382fd45774e61d2cacd198b4efb73878f2c58101836e2f2ec07b8d91872",
    ),
    Text(
        "wheels_py.txt", chooses=True, language="Python",
        source="PyPI: sympy 1.14.0, tensorflow 2.21.0, torch 2.14.1 (Linux, x86-64, Python 3.11)",
        made="the **/*.py of each package's folder, in this order, without the comments and blank lines "
        "at their heads, joined; the first 100,000,000 characters",
        sha256="6a4aedfd88ba08212e9e308ed529c2f94bb8b449fe8c872c54a6029d23c15473",
        options=("--validation", "0.01"),
    ),
)
# fmt: on
